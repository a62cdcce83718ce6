"""The result of a command on standard output, whose reader may have left."""

import os
from pathlib import Path
from typing import TextIO


def write(stdout: TextIO, text: str) -> None:
    """Write and flush. Where the reader is gone (``| head``) the interpreter's last flush goes nowhere."""
    try:
        stdout.write(text)
        stdout.flush()
    except BrokenPipeError:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), stdout.fileno())
