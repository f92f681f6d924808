"""``app.setup_security()``: from settings to a codec that signs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from umbel import serialization
from umbel.errors import ImproperlyConfigured

if TYPE_CHECKING:
    from umbel.app import Umbel

_NEEDED = ("security_key", "security_certificate", "security_cert_store")


def setup_security(
    app: Umbel,
    allowed_serializers: Iterable[str] | None,
    key: str | None,
    key_password: str | bytes | None,
    cert: str | None,
    store: str | None,
    digest: str | None,
    serializer: str,
) -> None:
    """See `umbel.app.Umbel.setup_security`."""
    from umbel.security.keys import Certificate, CertificateStore, PrivateKey, certificates_in, digest_named
    from umbel.serialization.signing import SigningCodec

    conf = app.conf
    files = dict(zip(_NEEDED, (key, cert, store), strict=True))
    files = {name: given or conf[name] for name, given in files.items()}
    missing = [name for name, given in files.items() if not given]
    if missing:
        raise ImproperlyConfigured(
            f"setup_security() needs {', '.join(missing)}: name the files in the settings, or as key=, cert=, store="
        )
    algorithm = digest_named(digest or conf.security_digest)
    password = key_password if key_password is not None else conf.security_key_password
    password = password.encode() if isinstance(password, str) else password
    key_file, cert_file, stored = (str(files[name]) for name in _NEEDED)
    private = PrivateKey(_read("security_key", key_file), password, algorithm, key_file)
    certificate = Certificate(_read("security_certificate", cert_file), algorithm, cert_file)
    if not private.belongs_to(certificate):
        raise ImproperlyConfigured(f"the certificate {cert_file} is not that of the key {key_file}: give its own")
    found = certificates_in(stored)
    if not found:
        raise ImproperlyConfigured(
            f"security_cert_store is {stored!r}, where no certificate is: give a folder of PEM files"
        )
    trusted = CertificateStore(found, algorithm)
    serialization.register(SigningCodec(serialization.by_name(serializer), private, certificate.id, trusted))
    _use(conf, tuple(allowed_serializers or ()))


def _use(conf: Any, allowed: tuple[str, ...]) -> None:
    """Have the app send signed messages, and accept no others but what is allowed by name."""
    listed = tuple(name for name in conf.accept_content if name != serialization.AUTH) if _lists_auth(conf) else ()
    conf.update(
        task_serializer=serialization.AUTH, accept_content=tuple(dict.fromkeys((serialization.AUTH, *listed, *allowed)))
    )


def _lists_auth(conf: Any) -> bool:
    return serialization.AUTH in conf.accept_content or serialization.SIGNED in conf.accept_content


def _read(setting: str, file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise ImproperlyConfigured(f"{setting}: the file {file} cannot be read: {error.strerror}") from error
