"""Fail when modules of Umbel import each other in a circle; imports for type checking only do not count."""

from __future__ import annotations

import sys
from graphlib import CycleError, TopologicalSorter

import grimp


def main() -> int:
    graph = grimp.build_graph("umbel", "umbel_operator", exclude_type_checking_imports=True)
    imports = {
        module: graph.find_modules_directly_imported_by(module)
        for module in sorted(graph.modules)
        # A package's __init__ only names what its modules offer.
        if not graph.find_children(module) or module.count(".") == 0
    }
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        sys.stderr.write("import cycle: " + " -> ".join(reversed(error.args[1])) + "\n")
        return 1
    sys.stdout.write(f"no import cycles among {len(imports)} modules\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
