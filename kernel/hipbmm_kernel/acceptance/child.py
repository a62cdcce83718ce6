"""The child of a check does one program and reports what it sees line by line: its death leaves what came before.

Reports go to standard output. Whatever AITER prints there goes to standard error instead, so that no line is torn.
"""

import json
import os
import sys
from typing import Any

from hipbmm_kernel.system.process import die_with_parent
from hipbmm_kernel.system.shown import first_line


def main(arguments: list[str]) -> int:
    """`main([parent's pid or 0, program, JSON of its arguments])`; 1 when the program raised."""
    parent, program, text = arguments
    if int(parent):
        die_with_parent(int(parent))
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="ascii")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def report(subject: str, value: Any) -> None:  # noqa: ANN401 - any JSON value
        """One value about a subject, at once: the next call into AITER may be the last."""
        answers.write(json.dumps([subject, value]) + "\n")
        answers.flush()

    try:
        from hipbmm_kernel.acceptance.programs import PROGRAMS  # noqa: PLC0415 - imports torch

        PROGRAMS[program](json.loads(text), report)
    except Exception as error:  # noqa: BLE001 - torch and AITER raise what they like: it is an answer for the parent
        report("error", {"type": type(error).__name__, "message": first_line(error)})
        sys.stderr.write(f"{type(error).__name__}: {first_line(error)}\n")
        return 1
    return 0
