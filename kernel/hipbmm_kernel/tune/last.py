"""What one child of a tuning does when all else is done: no other need be started for it."""

from collections.abc import Callable, Mapping

from hipbmm_kernel.store.table import Table


class Last:
    """The children run `module` instead of their plain program; its `main` knows what the command means.

    A GPU whose child cannot start with it gets a plain one next, so that it costs no row. `command` is asked when the
    tuning is over, with the store's table and what was found; None: there is nothing to do. `seconds` are for the
    command, and once more after each event. `ended` says how the child ended in it, "" when it did not; None: no child
    has done it.
    """

    def __init__(self, module: str, command: Callable[[Table], Mapping[str, object] | None], seconds: float) -> None:
        self.module = module
        self.command = command
        self.seconds = seconds
        self.ended: str | None = None
