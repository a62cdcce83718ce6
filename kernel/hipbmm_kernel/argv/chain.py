"""What is known behind a command of a chain, `a && b || c`."""

from typing import NamedTuple

from hipbmm_kernel.argv.values import Variables


class Chain(NamedTuple):
    """The next command is `skipped`, or it is `doubtful` whether it runs.

    `before` are the variables behind the first command that was taken to succeed, None where none was: what is set
    after it holds in the chain only.
    """

    skipped: bool = False
    doubtful: bool = False
    before: Variables | None = None

    def behind(self, operator: str, result: bool | None, assumed: Variables | None) -> "Chain":
        """The chain behind `&&` or `||`; `result` is of the command before, None when it is not known.

        `assumed` are the variables now, where a command was taken to succeed; else None.
        """
        known = None if operator == "||" and assumed is not None else result
        return Chain(known is (operator == "||"), known is None, self.before or assumed)
