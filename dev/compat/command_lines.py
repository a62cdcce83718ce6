"""Spellings of `vllm serve`'s flags, one command line a line, behind variables; `-` is an empty one.

In an argument `␣` stands for a blank; `''` is an argument without any text.
"""

from pathlib import Path


def _lines(name: str) -> list[str]:
    return (Path(__file__).parent / name).read_text(encoding="utf-8").splitlines()


LINES = _lines("command_lines.txt")
"""What the built-in planner and the simulator's stand-in of vLLM read as vLLM does."""
MORE = _lines("more_command_lines.txt")
"""What the built-in planner reads as vLLM does, or names. The stand-in takes some that vLLM refuses."""
VERSIONS = ("0.23.0", "0.33.0")
MODEL = "SeedOssForCausalLM"
"""Of compat.models: any dense one will do."""


def arguments(line: str) -> list[str]:
    """The arguments of a line."""
    words = [word.replace("␣", " ") for word in line.split(" ") if not _is_variable(word)]
    return [] if line == "-" else ["" if word == "''" else word for word in words]


def variables(line: str) -> dict[str, str]:
    """The environment of a line."""
    words = (word.partition("=") for word in line.split(" ") if _is_variable(word))
    return {name: value for name, _, value in words}


def _is_variable(word: str) -> bool:
    return word.startswith("VLLM_") and "=" in word


def spans(numbers: list[int]) -> str:
    """Rising numbers as text, those without a gap as `first-last`."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in found)
