"""`--config FILE`: what the file says, then what the command line says, which wins (vLLM's utils/argparse_utils.py)."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

FLAG = "--config"


def expanded(arguments: Sequence[str]) -> list[str]:
    """The arguments after `vllm serve`, with those of the file in place of `--config FILE`."""
    joined = [part for each in arguments for part in (each.split("=", 1) if each.startswith(f"{FLAG}=") else [each])]
    if FLAG not in joined:
        return joined
    at = joined.index(FLAG)
    (path, *after), before = joined[at + 1 :], joined[:at]
    import yaml  # noqa: PLC0415 - only who has such a file pays for it

    read = [part for name, value in yaml.safe_load(Path(path).read_text()).items() for part in _argument(name, value)]
    model = 1 if before and not before[0].startswith("-") else 0
    return [*before[:model], *read, *before[model:], *after]


def _argument(name: str, value: object) -> Iterator[str]:
    if isinstance(value, bool):
        yield from [f"--{name}"] if value else []
    elif isinstance(value, list):
        yield from [f"--{name}", *map(str, value)] if value else []
    else:
        yield from [f"--{name}", json.dumps(value) if isinstance(value, dict) else str(value)]
