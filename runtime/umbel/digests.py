"""SHA-1 and BLAKE2b as `hashlib` has them, from where it has them without OpenSSL: that takes 3 MiB of a worker's memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import blake2b, sha1
else:
    try:
        from _blake2 import blake2b
        from _sha1 import sha1
    except ImportError:  # a Python that was built without them
        from hashlib import blake2b, sha1

__all__ = ["blake2b", "sha1"]
