"""Files of the machine and of the image, which may be missing or unreadable: what they hold, or nothing."""

import os

MAX_BYTES = 65_536


def read_bytes(path: str, limit: int = MAX_BYTES) -> bytes | None:
    """The first `limit` bytes of a file; None when it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(limit)
    except OSError:
        return None


def read_text(path: str, limit: int = MAX_BYTES) -> str:
    """The same as text; "" when it cannot be read."""
    return (read_bytes(path, limit) or b"").decode("utf-8", "replace")


def listed(directory: str, prefix: str = "") -> list[str]:
    """The names in a directory that begin with `prefix`, sorted; none when it cannot be read."""
    try:
        return sorted(name for name in os.listdir(directory) if name.startswith(prefix))
    except OSError:
        return []
