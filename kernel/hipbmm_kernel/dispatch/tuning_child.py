"""A child of the tuner that can show, when all is tuned, that the table in memory works: the proof of `child`, last.

The plugin's hook has seen the import of AITER here as it does in a server, only that it did nothing; what the plugin
does then it does when it is loaded for the proof. What the tuning has left in this process may mislead the proof, so
only its success counts; else `check` asks a child of its own.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from hipbmm_kernel.dispatch import check, child, plugin
from hipbmm_kernel.tune import protocol
from hipbmm_kernel.tune.child import main as tuner
from hipbmm_kernel.tune.protocol import Message

if TYPE_CHECKING:
    from types import ModuleType


def main(arguments: list[str]) -> int:
    """As `main` of the tuner's own child."""
    seen: list[ModuleType] = []
    plugin.when_imported(plugin.AITER, seen.append)

    def prove(command: Message, report: Callable[[Message], None]) -> Message:
        """Be set up as the server is, in `directory`, with `env`; the answer is in the directory."""
        if not seen:
            raise RuntimeError("the hook of the plugin has not seen the import of AITER")
        directory = command["directory"]
        os.chdir(directory)
        os.environ.update(command["env"])
        alive: Message = {"event": protocol.RIGHT}
        child.main([f"{directory}/{check.ANSWER}", str(command["seconds"])], lambda: report(alive))
        return {}

    return tuner.main(arguments, prove)
