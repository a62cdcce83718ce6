"""`python -m hipbmm_operator run | detect | explain`."""

import asyncio
import sys
from collections.abc import Sequence

_USAGE = """usage: python -m hipbmm_operator COMMAND

  run                        the controller; settings from HIPBMM_* environment variables
  run --settings             print every setting with its default
  detect -f FILE [-o json]   what GPUs the nodes in a file have
  explain [-o json]          why pods were injected or were not, from what kubectl prints of them
"""


def main(arguments: Sequence[str]) -> int:
    """Exit 0 fine, 1 something is wrong, 2 wrong usage."""
    command, *rest = [*arguments, ""]
    if command == "run" and rest in ([""], ["--settings", ""]):
        return _settings() if rest[0] else _run()
    if command == "detect":
        from hipbmm_operator.cli.detect import detect_command  # noqa: PLC0415  # each command loads only what it needs

        return detect_command(list(arguments[1:]), sys.stdout, sys.stderr)
    if command == "explain":
        from hipbmm_operator.cli.explain import explain_command  # noqa: PLC0415  # each command loads only what it needs

        return explain_command(list(arguments[1:]), sys.stdin, sys.stdout, sys.stderr)
    sys.stderr.write(_USAGE)
    return 0 if command in ("-h", "--help") else 2


def _run() -> int:
    from hipbmm_operator import manager, settings  # noqa: PLC0415  # each command loads only what it needs
    from hipbmm_operator.telemetry import logs  # noqa: PLC0415  # each command loads only what it needs

    try:
        loaded = settings.load()
    except settings.SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    logs.configure(loaded.log_level, loaded.log_format, sys.stderr)
    return asyncio.run(manager.run(loaded))


def _settings() -> int:
    from hipbmm_operator import settings  # noqa: PLC0415  # each command loads only what it needs

    sys.stdout.write(settings.described())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
