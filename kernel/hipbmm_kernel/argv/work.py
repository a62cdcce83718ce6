"""How much work a command line may make, so that none keeps its reader busy, on any machine."""

MAX_WORK = 150_000
"""Steps of one command line with all shells in it, of 1 to 3 µs: what takes more than half a second is not read."""
COMMAND = 16
DOCUMENT = 64
PATTERN = 64
VARIABLE = 2
"""Steps of a command, a here-document, a pattern and a variable that is set. A token, a piece and a field are one."""
COPIED = 64
COMPARED = 32
"""Characters or variables that are copied in a step, and variables that are looked at in a step."""


class ShellError(ValueError):
    """The text is not shell, or is more than is read here; the message says where."""


class Work:
    """The steps that are left."""

    def __init__(self) -> None:
        self._left = MAX_WORK

    def take(self, steps: int) -> None:
        """Do so many of them. ShellError when there are fewer."""
        self._left -= steps
        if self._left < 0:
            raise ShellError("it takes too long to read")
