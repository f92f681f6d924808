"""An app's configuration: command line over environment (``UMBEL_<NAME>``) over code over defaults."""

from __future__ import annotations

import difflib
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from umbel import celerysettings
from umbel.errors import ImproperlyConfigured, UmbelWarning
from umbel.forking import ForkLock
from umbel.imports import ModuleMissing, import_object, search_path
from umbel.settings import KNOWN, REFUSED, WITHOUT_EFFECT, checked

_SECRET: Final = re.compile(r"API|TOKEN|KEY|SECRET|PASS|SIGNATURE|DATABASE", re.IGNORECASE)
_NO_SECRETS: Final = frozenset({"key_prefix"})

_PLAIN: Final = (str, int, float, type(None), list, tuple, dict, set, frozenset, timedelta)
#: Names a module of settings, which is read before all else.
CONFIG_MODULE: Final = "UMBEL_CONFIG_MODULE"
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
        put(self, "_lock", ForkLock())
        put(self, "_environ", os.environ if environ is None else environ)
        put(self, "_pending", [])
        put(self, "_defaults", [])
        put(self, "_configured", False)
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
            if name.isupper() and (present := _present(name)) in KNOWN:
                return self._resolved()[present]
            raise AttributeError(_unknown(name, "")) from None

    def __getitem__(self, name: str) -> Any:
        try:
            return getattr(self, name)
        except AttributeError as error:
            raise KeyError(str(error)) from None

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

    value_set_for = is_set

    @property
    def changes(self) -> dict[str, Any]:
        """What the code has set, whether or not it differs from the defaults."""
        self._resolved()
        return dict(self._code)

    def without_defaults(self) -> dict[str, Any]:
        """Return what was set anywhere."""
        values = self._resolved()
        return {name: values[name] for name in KNOWN if self.is_set(name)}

    def table(self, with_defaults: bool = False, censored: bool = True) -> dict[str, Any]:
        """Return settings by name, those that differ from the defaults or all, with secrets as asterisks."""
        values = {name: self[name] for name in KNOWN} if with_defaults else self.changed()
        return {name: censor(name, value) if censored else value for name, value in values.items()}

    def changed(self) -> dict[str, Any]:
        """Return what differs from the defaults."""
        values = self._resolved()
        return {name: values[name] for name in KNOWN if values[name] != KNOWN[name].default}

    def humanize(self, with_defaults: bool = False, censored: bool = True) -> str:
        """Return the settings as lines of text, secrets and passwords in URLs replaced by asterisks."""
        shown = self.table(with_defaults, censored)
        return "\n".join(f"{name}: {value!r}" for name, value in sorted(shown.items()))

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

    def add_defaults(self, source: Any) -> None:
        """Give settings that hold where nothing else says anything, but before Umbel's own defaults.

        Args:
            source: a mapping, an object, or a function that returns one, which is called when a setting is first read.
        """
        self._defaults.append(source)
        self.touch()

    def set_command_line(self, values: Mapping[str, Any]) -> None:
        """Set what the command line said; this wins over everything. None stands for not given."""
        given = {name: value for name, value in values.items() if value is not None}
        self._merge(self._command_line, given, "the command line")

    @contextmanager
    def overridden(self, values: Mapping[str, Any]) -> Iterator[None]:
        """Have settings win over all other sources in this block: for tests."""
        kept = dict(self._command_line)
        self.set_command_line(values)
        try:
            yield
        finally:
            self._command_line.clear()
            self._command_line.update(kept)
            self.touch()

    def load(self, source: Any, *, namespace: str | None = None, force: bool = False, silent: bool = False) -> None:
        """Take settings from a module, an object, a class, a mapping, or the dotted name of one.

        Args:
            source: where they are; a name is imported at the first access of a setting, all else read at once.
            namespace: take only names that begin with it, in upper case, as in ``CELERY_BROKER_URL``.
            force: import a name at once.
            silent: do nothing where there is no module of the name.

        Raises:
            ImproperlyConfigured: the name cannot be imported, or a setting is unknown or does not fit.
        """
        if isinstance(source, str):
            self._pending.append((source, lambda: _from_name(source, namespace, silent)))
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

    def _given_defaults(self) -> dict[str, Any]:
        """Return what `add_defaults` was given; functions are called once."""
        merged: dict[str, Any] = {}
        for index, source in enumerate(self._defaults):
            given = source() if callable(source) and not isinstance(source, type) else source
            self._defaults[index] = given = _accept(_read(given, None), "add_defaults()")
            merged = {**given, **merged}
        return merged

    def _read_pending(self) -> None:
        with self._lock:
            if not self._configured:
                object.__setattr__(self, "_configured", True)
                named = self._environ.get(CONFIG_MODULE)
                if named:
                    self._pending.insert(0, (named, lambda: _from_name(named, None)))
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
            values.update(self._given_defaults())
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
        name = _present(str(given))
        refusal = None if name in KNOWN else celerysettings.refusal(name, value)
        if name in KNOWN:
            accepted[name] = checked(KNOWN[name], value, source)
        elif refusal is not None:
            raise ImproperlyConfigured(f"the setting {name} in {source} cannot be {value!r} in Umbel: {refusal}.")
        elif name in celerysettings.ONLY:
            continue
        elif name in WITHOUT_EFFECT:
            warnings.warn(
                f"the setting {name} in {source} has no effect in Umbel: {WITHOUT_EFFECT[name]}; remove it",
                UmbelWarning,
                stacklevel=4,
            )
        elif name in REFUSED:
            raise ImproperlyConfigured(f"the setting {name} in {source} does not exist in Umbel: {REFUSED[name]}.")
        else:
            raise ImproperlyConfigured(_unknown(name, f" in {source}"))
    return accepted


def _present(name: str) -> str:
    """Return the present name of a setting that may have been given by an old one."""
    lower = name.lower()
    if lower in KNOWN or not name.isupper():
        return lower
    from umbel.oldsettings import present_name

    return present_name(name) or lower


def _unknown(name: str, where: str) -> str:
    near = difflib.get_close_matches(name.lower(), [*KNOWN, *WITHOUT_EFFECT, *REFUSED], n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}?" if near else "`umbel report --all` lists the settings that there are."
    return f"there is no setting {name!r}{where}: {hint}"


def _from_name(name: str, namespace: str | None, silent: bool = False) -> Mapping[str, Any]:
    with search_path():
        try:
            found = import_object(name, purpose="config_from_object")
        except ModuleMissing:
            if silent:
                return {}
            raise
    return _read(found, namespace)


def _title(source: Any) -> str:
    return str(getattr(source, "__name__", None) or type(source).__name__)


def _read(source: Any, namespace: str | None) -> dict[str, Any]:
    """Return the settings in an object; without a namespace, lower-case names that are neither code nor private."""
    items = dict(source) if isinstance(source, Mapping) else _attributes(source)
    if namespace:
        prefix = namespace.upper().rstrip("_") + "_"
        return {key[len(prefix) :].lower(): value for key, value in items.items() if str(key).startswith(prefix)}
    old = _old_names(items)
    if old:
        return {present: items[name] for name, present in old.items()}
    if isinstance(source, Mapping):
        return items
    return {key: value for key, value in items.items() if key == key.lower() and not _is_code(key, value)}


def _old_names(items: Mapping[str, Any]) -> dict[str, str]:
    """Return the upper-case names of settings among these, each with its present one; none may stand beside them.

    Raises:
        ImproperlyConfigured: upper-case and lower-case names are mixed.
    """
    if not any(str(key).isupper() for key in items):
        return {}
    from umbel.oldsettings import is_setting, old_names

    old = old_names(str(key) for key in items)
    new = sorted(str(key) for key in items if str(key).islower() and is_setting(str(key)))
    if old and new:
        first = sorted(old)[0]
        raise ImproperlyConfigured(
            f"settings of two kinds are mixed: {', '.join(sorted(old))} beside {', '.join(new)}. Write all of them in lower "
            f"case ({first} is {old[first]} now), or give a namespace and write all as CELERY_{new[0].upper()}"
        )
    return old


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
