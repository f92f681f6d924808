"""Keys with their certificates, in files, for tests of signed messages."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.x509.oid import NameOID

NOW = dt.datetime.now(dt.timezone.utc)  # noqa: UP017 - as elsewhere
DAY = dt.timedelta(days=1)
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Signer:
    """A key and its certificate in files."""

    def __init__(
        self, folder: Path, name: str, key: Any = RSA, *, ends: dt.datetime = NOW + DAY, password: bytes = b""
    ):
        folder.mkdir(exist_ok=True)
        self.key_file, self.cert_file = folder / f"{name}.key", folder / f"{name}.pem"
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        builder = (
            builder.serial_number(x509.random_serial_number()).not_valid_before(NOW - 2 * DAY).not_valid_after(ends)
        )
        certificate = builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
        encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
        self.key_file.write_bytes(key.private_bytes(*form))
        self.cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
