"""Where `cd` leads: shells keep their directory in variables, and so does this."""

import posixpath
from collections.abc import Sequence

from hipbmm_kernel.argv.values import UNKNOWN, Marks, Value, Variables

COMMANDS = ("cd", "pushd", "popd")
HERE = "PWD"
_OPTIONS = ("-L", "-P", "-e", "--")


def entered(variables: Variables, marks: Marks, command: str, arguments: Sequence[str]) -> Variables:
    """The variables behind one of `COMMANDS`."""
    here = variables.get(HERE) or UNKNOWN
    targets = [text for text in arguments if text not in _OPTIONS]
    path = targets[0] if targets else marks.of(variables.get("HOME") or UNKNOWN)
    known = command != "popd" and path[:1] not in ("-", "+")  # `cd -`, `pushd +1`
    there: Value = marks.value(posixpath.join(marks.of(here), path)) if known else UNKNOWN
    absolute = there if all(text.startswith("/") for text in there) else UNKNOWN
    return variables.changed("OLDPWD", here).changed(HERE, tuple(map(posixpath.normpath, absolute)))
