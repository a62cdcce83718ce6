"""The command that starts a part of this program once more, from where it lies: a directory or a zip."""

import os
import sys


def command(module: str) -> list[str]:
    """The command that runs `main(arguments)` of a module of this package.

    With `-c` Python would look for each module in the working directory first, the standard library's too; and that
    directory may be the user's, with a `json.py` in it.
    """
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    text = (
        "import sys; sys.path = [sys.argv[1], *filter(None, sys.path)]; "
        f"from hipbmm_kernel.{module} import main; sys.exit(main(sys.argv[2:]))"
    )
    return [sys.executable, "-c", text, root]
