"""YAML by PyYAML's safe loader; what it has no word for travels as the markers of JSON do."""

from __future__ import annotations

from typing import Any, Final

from umbel.errors import DecodeError, EncodeError, ImproperlyConfigured
from umbel.serialization.markers import mark, unmark

try:
    import yaml
except ImportError as error:
    raise ImproperlyConfigured("the serializer 'yaml' needs PyYAML: pip install 'umbel[yaml]'") from error

_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class YAMLCodec:
    """See the module."""

    name: Final = "yaml"
    content_type: Final = "application/x-yaml"

    def encode(self, obj: Any) -> bytes:
        """Return ``obj`` as YAML.

        Raises:
            EncodeError: something in it cannot be carried; ``path`` leads there.
        """
        try:
            raw: bytes = yaml.dump(_listed(mark(obj)), Dumper=_Dumper, allow_unicode=True, encoding="utf-8")
        except yaml.YAMLError as error:
            raise EncodeError(f"the value cannot be carried by YAML: {error}") from error
        return raw

    def decode(self, raw: bytes) -> Any:
        """Return what `encode` was given, tuples as lists.

        Raises:
            DecodeError: it is not YAML, or a marker in it cannot be read.
        """
        try:
            return unmark(yaml.load(raw, Loader=_Loader))  # the safe one
        except yaml.YAMLError as error:
            raise DecodeError(f"not valid YAML: {error}") from error


def _listed(obj: Any) -> Any:
    """Return ``obj`` with lists for tuples, and no part twice: YAML would write an anchor, which a reader shares."""
    if isinstance(obj, (list, tuple)):
        return [_listed(item) for item in obj]
    return {key: _listed(item) for key, item in obj.items()} if isinstance(obj, dict) else obj


codec: Final = YAMLCodec()
