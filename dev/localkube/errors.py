"""The one error type that reaches the user."""


class LocalkubeError(Exception):
    """Something the user can act on; the message says what is wrong and what to do."""


class UsageError(LocalkubeError):
    """A wrong word on the command line (exit code 2)."""
