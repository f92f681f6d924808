"""Private keys and certificates, by the library `cryptography`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

from umbel.errors import ImproperlyConfigured, SecurityError

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
except ImportError as error:
    raise ImproperlyConfigured("signed messages need cryptography: pip install 'umbel[auth]'") from error

_DIGESTS: Final[dict[str, Callable[[], hashes.HashAlgorithm]]] = {
    "sha224": hashes.SHA224,
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
    "sha3_256": hashes.SHA3_256,
    "sha3_512": hashes.SHA3_512,
}


def digest_named(name: str) -> hashes.HashAlgorithm:
    """Return the digest of this name.

    Raises:
        ImproperlyConfigured: there is none, or it is broken (MD5, SHA-1).
    """
    try:
        return _DIGESTS[name.lower().replace("-", "")]()
    except KeyError:
        raise ImproperlyConfigured(
            f"security_digest cannot be {name!r}: give one of {', '.join(sorted(_DIGESTS))}"
        ) from None


class PrivateKey:
    """Signs.

    Args:
        pem: the key: RSA, elliptic curve, Ed25519 or Ed448.
        password: of the key, if it is encrypted.
        digest: what is signed in place of the content; Ed25519 and Ed448 have their own.
        source: what the errors call it.

    Raises:
        ImproperlyConfigured: it cannot be read, or is of another kind.
    """

    def __init__(self, pem: bytes, password: bytes | None, digest: hashes.HashAlgorithm, source: str) -> None:
        try:
            self._key: Any = serialization.load_pem_private_key(pem, password)
        except (ValueError, TypeError) as error:
            raise ImproperlyConfigured(
                f"security_key: {source} is no private key in PEM that can be read: {error}; "
                "is security_key_password right?"
            ) from error
        if not isinstance(
            self._key,
            (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey),
        ):
            raise ImproperlyConfigured(
                f"security_key: {source} is of the type {type(self._key).__name__}: give an RSA, elliptic curve, Ed25519 "
                "or Ed448 key"
            )
        self._digest = digest

    def sign(self, content: bytes) -> bytes:
        """Return the signature of a content."""
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(content, _pss(self._digest), self._digest)
        if isinstance(self._key, ec.EllipticCurvePrivateKey):
            return self._key.sign(content, ec.ECDSA(self._digest))
        signature: bytes = self._key.sign(content)
        return signature

    def belongs_to(self, certificate: Certificate) -> bool:
        """Tell whether the certificate is this key's."""
        form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        mine: bytes = self._key.public_key().public_bytes(*form)
        theirs: bytes = certificate.public_key.public_bytes(*form)
        return mine == theirs


class Certificate:
    """Says whose signature a key makes, and until when.

    Raises:
        ImproperlyConfigured: it cannot be read.
    """

    def __init__(self, pem: bytes, digest: hashes.HashAlgorithm, source: str) -> None:
        try:
            self._certificate = x509.load_pem_x509_certificate(pem)
        except ValueError as error:
            raise ImproperlyConfigured(f"{source} is no certificate in PEM that can be read: {error}") from error
        self.public_key: Any = self._certificate.public_key()
        self._digest = digest
        issuer = self._certificate.issuer.rfc4514_string()
        #: What messages name the signer by.
        self.id = f"{issuer} {self._certificate.serial_number}"

    def check_dates(self) -> None:
        """Refuse a certificate outside of its time.

        Raises:
            SecurityError: it has expired, or does not hold yet.
        """
        now = datetime.now(timezone.utc)  # noqa: UP017 - as elsewhere
        if now > self._certificate.not_valid_after_utc:
            raise SecurityError(
                f"the certificate of {self.id} expired on {self._certificate.not_valid_after_utc:%Y-%m-%d}: renew it"
            )
        if now < self._certificate.not_valid_before_utc:
            raise SecurityError(
                f"the certificate of {self.id} holds from {self._certificate.not_valid_before_utc:%Y-%m-%d} on only"
            )

    def verify(self, signature: bytes, content: bytes) -> None:
        """Check a signature.

        Raises:
            SecurityError: it is not this key's, or not of this content.
        """
        self.check_dates()
        try:
            if isinstance(self.public_key, rsa.RSAPublicKey):
                self.public_key.verify(signature, content, _pss(self._digest), self._digest)
            elif isinstance(self.public_key, ec.EllipticCurvePublicKey):
                self.public_key.verify(signature, content, ec.ECDSA(self._digest))
            else:
                self.public_key.verify(signature, content)
        except InvalidSignature:
            raise SecurityError(
                f"a message names {self.id} as its signer, and its signature is not right: it was changed, or forged, or "
                "signed with another security_digest"
            ) from None


class CertificateStore:
    """The certificates that are trusted, as they were when the process started.

    Args:
        files: where they are.
        digest: of the signatures.
    """

    def __init__(self, files: Iterable[Path], digest: hashes.HashAlgorithm) -> None:
        self._certificates: dict[str, Certificate] = {}
        self._lock = threading.Lock()
        for file in files:
            self.add(Certificate(file.read_bytes(), digest, str(file)))

    def add(self, certificate: Certificate) -> None:
        """Trust a certificate."""
        with self._lock:
            self._certificates[certificate.id] = certificate

    def __len__(self) -> int:
        return len(self._certificates)

    def verify(self, signer: str, signature: bytes, content: bytes) -> None:
        """Check that a trusted signer signed this content.

        Raises:
            SecurityError: nobody who is trusted did.
        """
        certificate = self._certificates.get(signer)
        if certificate is None:
            raise SecurityError(
                f"a message is signed by {signer}, whose certificate is not in security_cert_store: it is refused"
            )
        certificate.verify(signature, content)


def _pss(digest: hashes.HashAlgorithm) -> padding.PSS:
    return padding.PSS(padding.MGF1(digest), padding.PSS.MAX_LENGTH)


def certificates_in(pattern: str) -> list[Path]:
    """Return the files that a ``security_cert_store`` names: a folder, a file, or a pattern."""
    path = Path(pattern)
    if path.is_dir():
        return sorted(found for found in path.iterdir() if found.suffix in (".pem", ".crt", ".cer"))
    if path.is_file():
        return [path]
    return sorted(path.parent.glob(path.name))
