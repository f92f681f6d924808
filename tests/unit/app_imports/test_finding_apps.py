"""What ``-A`` finds, and what is said when it does not."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from umbel import Umbel
from umbel.errors import ImproperlyConfigured
from umbel.imports import ModuleBroken, ModuleMissing, find_app, import_module, import_object

Write = Callable[[str, str], None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write modules into the current folder; forget them afterwards."""
    before = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(name: str, text: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    yield write
    for name in set(sys.modules) - before:
        if not name.startswith("umbel"):
            del sys.modules[name]


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"shop_a.py": "from umbel import Umbel\napp = Umbel('x')"}, "shop_a"),
        ({"shop_b.py": "from umbel import Umbel\nmine = Umbel('x')"}, "shop_b"),
        ({"shop_c.py": "from umbel import Umbel\nmine, other = Umbel('x'), Umbel('y')"}, "shop_c:mine"),
        ({"shop_d.py": "from umbel import Umbel\nmine, app = Umbel('y'), Umbel('x')"}, "shop_d"),
        ({"shop_e.py": "from umbel import Umbel\nclass Config: app = Umbel('x')"}, "shop_e:Config.app"),
        ({"shop_f/__init__.py": "", "shop_f/celery.py": "from umbel import Umbel\napp = Umbel('x')"}, "shop_f"),
        ({"shop_g/__init__.py": "", "shop_g/umbel.py": "from umbel import Umbel\nq = Umbel('x')"}, "shop_g"),
        ({"shop_h.py": "from umbel import Umbel\nmine = Umbel('x')"}, "shop_h.mine"),
        ({"shop_i.py": "from umbel import Umbel\nclass Mine(Umbel): ...\napp = Mine('x')"}, "shop_i"),
    ],
)
def test_an_app_is_found(write: Write, files: dict[str, str], name: str) -> None:
    for path, text in files.items():
        write(path, text)
    app = find_app(name)
    assert isinstance(app, Umbel)
    assert app.main == "x"


@pytest.mark.parametrize(
    ("files", "name", "error", "message"),
    [
        (
            {},
            "nowhere_a",
            ModuleMissing,
            "there is no module 'nowhere_a' .named by -A.*run from the folder that holds it",
        ),
        ({}, "nowhere_b.py", ModuleMissing, "Give the dotted name of the module .'nowhere_b'.*, not a file"),
        ({"part/__init__.py": ""}, "part.none.tasks", ModuleMissing, "the part 'part.none' is not there"),
        ({"br_a.py": "import not_installed_lib"}, "br_a", ModuleBroken, "Install what provides 'not_installed_lib'"),
        ({"br_b.py": "x = 1\n1 / 0"}, "br_b", ModuleBroken, r"ZeroDivisionError: .*br_b.py, line 2 \(1 / 0\).* Fix it"),
        # What Umbel itself refuses is shown at the user's line, not at Umbel's
        (
            {"br_own.py": "from umbel import Umbel\napp = Umbel(brokr='redis://h')"},
            "br_own",
            ModuleBroken,
            r"did you mean 'broker_url'\? at \S*br_own.py, line 2 \(app = Umbel\(brokr='redis://h'\)\). Fix it",
        ),
        ({"br_c.py": "def f(:"}, "br_c", ModuleBroken, "SyntaxError"),
        ({"em_a.py": "x = 1"}, "em_a", ImproperlyConfigured, "'em_a' holds no app. Write app = Umbel"),
        ({"em_b.py": "x = 1"}, "em_b:app", ImproperlyConfigured, "no 'app' .named by -A.*it defines: x"),
        ({"em_c.py": "x = 1"}, "em_c:x", ImproperlyConfigured, "'int', not an app"),
        (
            {"em_d.py": "from umbel import Umbel\na, b = Umbel(), Umbel()"},
            "em_d",
            ImproperlyConfigured,
            r"several apps \(a, b\); name one: -A em_d:a",
        ),
    ],
)
def test_no_app_is_found(
    write: Write, files: dict[str, str], name: str, error: type[ImproperlyConfigured], message: str
) -> None:
    for path, text in files.items():
        write(path, text)
    with pytest.raises(error, match=message):
        find_app(name)


def test_a_module_that_is_missing_deeper_inside_is_an_error_inside(write: Write) -> None:
    write("outer_one.py", "import inner_one")
    write("inner_one.py", "import deepest_one")
    with pytest.raises(ModuleBroken, match="Install what provides 'deepest_one'"):
        import_module("outer_one")


def test_objects_by_their_dotted_name() -> None:
    assert import_object("os.path:join") is import_object("os.path.join")
    with pytest.raises(ModuleMissing):
        import_object("os.path.jion")
