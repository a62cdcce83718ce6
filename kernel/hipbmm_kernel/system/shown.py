"""Foreign text in our own lines: quoted, escaped and short.

A log is read line by line, by people in a terminal and by the operator. What somebody else wrote must neither begin a
line of its own there nor move the cursor.
"""

SHOWN = 120


def shown(text: str, most: int = SHOWN) -> str:
    """A text as it can stand in a reason: in quotes, ASCII, at most `most` characters of it."""
    return ascii(text[:most])


def first_line(error: BaseException) -> str:
    """The first line that an error has to say, else its name."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:400]


def one_line(text: str) -> str:
    """A text as one line of a log: everything that a terminal or a reader of lines acts on is escaped."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
