"""The console script `vllm`."""

import os
import sys

from vllm import __version__
from vllm.arguments import parse
from vllm.log import configure


def main() -> None:
    """`vllm serve MODEL [arguments]` and `vllm --version`; status 2 for anything else."""
    arguments = sys.argv[1:]
    if arguments in (["--version"], ["-v"]):
        os.write(1, f"{__version__}\n".encode())
        return
    if arguments[:1] != ["serve"]:
        sys.exit("usage: vllm serve MODEL [arguments]")
    parsed = parse(arguments[1:])
    configure()
    from vllm.serve import serve  # noqa: PLC0415 - imports torch, which --version and --help need not

    serve(parsed)


if __name__ == "__main__":
    main()
