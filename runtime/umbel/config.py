"""An app's configuration: command line over environment (``UMBEL_<NAME>``) over code over defaults."""

from __future__ import annotations

import difflib
import os
import re
import threading
import warnings
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from umbel.errors import ImproperlyConfigured
from umbel.imports import import_object, search_path
from umbel.settings import KNOWN, REFUSED, WITHOUT_EFFECT, checked

_SECRET: Final = re.compile(r"API|TOKEN|KEY|SECRET|PASS|SIGNATURE|DATABASE", re.IGNORECASE)
_NO_SECRETS: Final = frozenset({"key_prefix"})

_PLAIN: Final = (str, int, float, type(None), list, tuple, dict, set, frozenset, timedelta)
TEN_YEARS: Final = 10 * 365 * 86400.0


class Settings:
    """The settings of one app, read by attribute (``conf.task_time_limit``) or by item (``conf["task_time_limit"]``).

    Sources given by name are read at the first access; a later source wins over an earlier one. ``serial`` grows with
    every change, so that what was computed from settings can be kept until then.
    """

    serial: int

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        put = object.__setattr__
        put(self, "serial", 0)
        put(self, "_lock", threading.RLock())
        put(self, "_environ", os.environ if environ is None else environ)
        put(self, "_pending", [])
        put(self, "_code", {})
        put(self, "_command_line", {})
        put(self, "_values", None)

    # -- reading

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self._resolved()[name]
        except KeyError:
            raise AttributeError(_unknown(name, "")) from None

    def __getitem__(self, name: str) -> Any:
        try:
            return self._resolved()[name]
        except KeyError:
            raise KeyError(_unknown(name, "")) from None

    def __contains__(self, name: object) -> bool:
        return name in KNOWN

    def __iter__(self) -> Iterator[str]:
        return iter(KNOWN)

    def __len__(self) -> int:
        return len(KNOWN)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a setting, or ``default`` where there is none of this name."""
        return self._resolved().get(name, default)

    def keys(self) -> list[str]:
        """Return the names of all settings."""
        return list(KNOWN)

    def is_set(self, name: str) -> bool:
        """Tell whether a setting was given anywhere, so that it is not the default."""
        self._resolved()
        return name in self._command_line or name in self._code or _variable(name) in self._environ

    def changed(self) -> dict[str, Any]:
        """Return what differs from the defaults."""
        values = self._resolved()
        return {name: values[name] for name in KNOWN if values[name] != KNOWN[name].default}

    def humanize(self, with_defaults: bool = False, censored: bool = True) -> str:
        """Return the settings as lines of text, secrets and passwords in URLs replaced by asterisks."""
        values = {name: self[name] for name in KNOWN} if with_defaults else self.changed()
        shown = {name: censor(name, value) if censored else value for name, value in sorted(values.items())}
        return "\n".join(f"{name}: {value!r}" for name, value in shown.items())

    # -- writing

    def __setattr__(self, name: str, value: Any) -> None:
        self.update({name: value})

    def __setitem__(self, name: str, value: Any) -> None:
        self.update({name: value})

    def update(self, values: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        """Set several settings, as the code does.

        Raises:
            ImproperlyConfigured: an unknown name (the message proposes the nearest), or a value that does not fit.
        """
        self._read_pending()
        self._merge(self._code, {**(values or {}), **more}, "the code")

    def set_command_line(self, values: Mapping[str, Any]) -> None:
        """Set what the command line said; this wins over everything. None stands for not given."""
        given = {name: value for name, value in values.items() if value is not None}
        self._merge(self._command_line, given, "the command line")

    def load(self, source: Any, *, namespace: str | None = None, force: bool = False) -> None:
        """Take settings from a module, an object, a class, a mapping, or the dotted name of one.

        Args:
            source: where they are; a name is imported at the first access of a setting, all else read at once.
            namespace: take only names that begin with it, in upper case, as in ``CELERY_BROKER_URL``.
            force: import a name at once.

        Raises:
            ImproperlyConfigured: the name cannot be imported, or a setting is unknown or does not fit.
        """
        if isinstance(source, str):
            self._pending.append((source, lambda: _from_name(source, namespace)))
            self.touch()
            if force:
                self._read_pending()
            return
        self._read_pending()
        self._merge(self._code, _read(source, namespace), f"{_title(source)}")

    def _merge(self, layer: dict[str, Any], values: Mapping[str, Any], source: str) -> None:
        layer.update(_accept(values, source))
        self.touch()

    @property
    def result_ttl(self) -> float:
        """Seconds to keep a result: ``result_expires``, ten years where that is None or 0."""
        return float(self.result_expires or TEN_YEARS)

    def touch(self) -> None:
        """Make what was computed from the settings invalid."""
        object.__setattr__(self, "_values", None)
        object.__setattr__(self, "serial", self.serial + 1)

    def _read_pending(self) -> None:
        with self._lock:
            while self._pending:
                # Taken off first: the module that is read now may ask for a setting itself.
                title, read = source = self._pending.pop(0)
                try:
                    values = _accept(read(), title)
                except BaseException:
                    self._pending.insert(0, source)
                    raise
                self._merge(self._code, values, title)

    def _resolved(self) -> dict[str, Any]:
        values: dict[str, Any] | None = self._values
        if values is not None:
            return values
        with self._lock:
            self._read_pending()
            values = {name: setting.default for name, setting in KNOWN.items()}
            values.update(self._code)
            for name, setting in KNOWN.items():
                given = self._environ.get(_variable(name))
                if given is not None:
                    values[name] = checked(setting, given, f"the environment variable {_variable(name)}")
            values.update(self._command_line)
            object.__setattr__(self, "_values", values)
        return values


def _variable(name: str) -> str:
    return f"UMBEL_{name.upper()}"


def _accept(values: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Check names and values.

    Raises:
        ImproperlyConfigured: the first one that is wrong.
    """
    accepted: dict[str, Any] = {}
    for given, value in values.items():
        name = str(given).lower()
        if name in KNOWN:
            accepted[name] = checked(KNOWN[name], value, source)
        elif name in WITHOUT_EFFECT:
            warnings.warn(
                f"the setting {name} in {source} has no effect in Umbel: {WITHOUT_EFFECT[name]}; remove it",
                stacklevel=4,
            )
        elif name in REFUSED:
            raise ImproperlyConfigured(f"the setting {name} in {source} does not exist in Umbel: {REFUSED[name]}.")
        else:
            raise ImproperlyConfigured(_unknown(name, f" in {source}"))
    return accepted


def _unknown(name: str, where: str) -> str:
    near = difflib.get_close_matches(name.lower(), [*KNOWN, *WITHOUT_EFFECT, *REFUSED], n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}?" if near else "`umbel report --all` lists the settings that there are."
    return f"there is no setting {name!r}{where}: {hint}"


def _from_name(name: str, namespace: str | None) -> Mapping[str, Any]:
    with search_path():
        found = import_object(name, purpose="config_from_object")
    return _read(found, namespace)


def _title(source: Any) -> str:
    return str(getattr(source, "__name__", None) or type(source).__name__)


def _read(source: Any, namespace: str | None) -> dict[str, Any]:
    """Return the settings in an object; without a namespace, lower-case names that are neither code nor private."""
    items = dict(source) if isinstance(source, Mapping) else _attributes(source)
    if namespace:
        prefix = namespace.upper().rstrip("_") + "_"
        return {key[len(prefix) :].lower(): value for key, value in items.items() if str(key).startswith(prefix)}
    if isinstance(source, Mapping):
        return items
    return {key: value for key, value in items.items() if key == key.lower() and not _is_code(key, value)}


def _attributes(source: Any) -> dict[str, Any]:
    return {key: getattr(source, key) for key in dir(source) if not key.startswith("_")}


def _is_code(key: str, value: Any) -> bool:
    """Tell whether an attribute is an import or a definition, not a setting that is misspelt: these are plain values."""
    return key not in KNOWN and not isinstance(value, _PLAIN)


def censor(name: str, value: Any) -> Any:
    """Return a value as it may be shown: secrets as asterisks, URLs without their password."""
    if isinstance(value, str) and "://" in value:
        return censor_url(value)
    if value is not None and name not in _NO_SECRETS and _SECRET.search(name):
        return "********"
    if isinstance(value, Mapping):
        return {key: censor(str(key), item) for key, item in value.items()}
    return value


def censor_url(url: str) -> str:
    """Return a URL with asterisks in place of its passwords."""
    url = re.sub(r"(password=)[^&#]+", r"\1********", url)
    try:
        parts = urlsplit(url)
    except ValueError:
        return "********"
    user, at, host = parts.netloc.rpartition("@")
    if not at:
        return url
    name, colon, _ = user.partition(":")
    return urlunsplit(parts._replace(netloc=f"{name}{':********' if colon else ''}@{host}"))
