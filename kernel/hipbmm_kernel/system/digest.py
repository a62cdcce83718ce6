"""SHA-256 of a text of ours, without OpenSSL where that is not worth it; and a JSON document as the text to hash.

`hashlib` maps libcrypto: 5 MB, a quarter of the sidecar's memory, for a few kilobytes hashed in a day. Python's
own implementation gives the same digest at a sixth of the speed, so large data goes to `hashlib` all the same.
"""

import json

try:
    from _sha2 import sha256 as _small  # type: ignore[import-not-found] # Python 3.12 and later
except ImportError:
    try:
        from _sha256 import sha256 as _small  # type: ignore[import-not-found] # Python 3.10 and 3.11
    except ImportError:  # a Python built without its own hashes
        from hashlib import sha256 as _small

LARGE = 64 * 1024


def sha256(data: bytes | memoryview) -> str:
    """The digest as 64 hex digits."""
    if len(data) < LARGE:
        return str(_small(data).hexdigest())
    import hashlib  # noqa: PLC0415 - see the module's docstring

    return hashlib.sha256(data).hexdigest()


def canonical(document: object) -> bytes:
    """The document as JSON in one form, so that equal documents have equal bytes: sorted keys, no blanks, ASCII."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")
