"""The commands that a script comes to, and the variables that their processes are started with."""

from collections.abc import Mapping
from typing import NamedTuple

from hipbmm_kernel.argv import values
from hipbmm_kernel.argv.values import UNKNOWN, Marks, Value
from hipbmm_kernel.argv.work import COMPARED, Work


class Command(NamedTuple):
    """A command that a script comes to. `certain` is false when that depends on what is not known.

    `env` are variables of the script that its process sees beside the container's own; `values.ANY` is one not known.
    `marks` are those in its fields.
    """

    fields: tuple[str, ...]
    certain: bool = True
    env: tuple[tuple[str, str], ...] = ()
    marks: Marks = Marks()


def seen(
    named: Mapping[str, Value], exported: Mapping[str, bool | None], env: Mapping[str, Value], work: Work
) -> tuple[tuple[str, str], ...]:
    """The variables with other values than in `env` that a process is started with; `ANY` is a value not known.

    `exported` is of what the script has exported, or has not any more; None where that is in doubt.
    """
    names = values.changes(env, named) | set(exported)
    work.take(len(named) // COMPARED + len(names))
    yes = {name: exported.get(name, True) for name in names if name in env or exported.get(name, False) is not False}
    found = ((name, named.get(name, UNKNOWN) if yes[name] else UNKNOWN) for name in sorted(yes))
    return tuple((name, value[0] if len(value) == 1 else values.ANY) for name, value in found if value != env.get(name))
