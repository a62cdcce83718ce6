"""vLLM's `--config FILE`: the arguments that it stands for, in vLLM's own order.

As `FlexibleArgumentParser.load_config_file` does it (vllm/utils/argparse_utils.py, 0.23 to 0.33): a flat YAML file, the
command line wins. YAML is read by the image's own PyYAML, which vLLM needs for the same.
"""

import importlib
import json

MAX_BYTES = 1 << 20


class ConfigFileError(ValueError):
    """The file cannot be used; the message says why."""


def arguments(path: str) -> tuple[str, ...]:
    """The arguments of a file. ConfigFileError when it is unreadable, no YAML, or no mapping."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
        document = importlib.import_module("yaml").safe_load(data)
    except Exception as error:
        # PyYAML raises classes of its own, which are not known here, with texts that show the file.
        reason = error.strerror if isinstance(error, OSError) else type(error).__name__
        raise ConfigFileError(f"{path}: {reason}") from error
    if not isinstance(document, dict) or len(data) > MAX_BYTES:
        raise ConfigFileError(f"{path}: not a mapping of at most {MAX_BYTES} bytes")
    found: list[str] = []
    for name, value in document.items():
        found += _argument(f"--{name}", value)
    # What `false` means only the image's vLLM knows: nothing, or `--no-NAME` from 0.28 on where there is such a flag.
    return (*found, *(["--config", path] if any(value is False for value in document.values()) else []))


def _argument(flag: str, value: object) -> list[str]:
    if isinstance(value, bool):
        return [flag] if value else []
    if isinstance(value, list):
        return [flag, *(str(item) for item in value)] if value else []
    return [flag, json.dumps(value) if isinstance(value, dict) else str(value)]
