"""`python -m bench [NAME ...]`: run the benchmarks, print each figure beside its range, fail outside of it.

A benchmark is a module of this package with `measure() -> dict[str, float]`. Ranges are in ranges.json:
`{"figure": {"max": 0.35, "unit": "s"}}`, with `min`, `max` or both. A figure without a range is printed and not judged;
when all benchmarks run, a range that no benchmark gave a figure for is an error.
"""

import argparse
import importlib
import json
import pkgutil
import sys
import time
from pathlib import Path
from typing import Any

import bench

RANGES = Path(__file__).with_name("ranges.json")
_LINE = "{:<44} {:>14} {:>24}  {}"


def names() -> list[str]:
    """All benchmarks: modules that do not start with an underscore."""
    return sorted(m.name for m in pkgutil.iter_modules(bench.__path__) if not m.name.startswith("_"))


def verdict(value: float, limits: dict[str, Any]) -> str:
    """`ok`, `OUTSIDE` or `-` when there is no range."""
    if not limits:
        return "-"
    inside = limits.get("min", float("-inf")) <= value <= limits.get("max", float("inf"))
    return "ok" if inside else "OUTSIDE"


def span(limits: dict[str, Any]) -> str:
    """The range as text."""
    parts = [f"{sign} {limits[key]:g}" for key, sign in (("min", ">="), ("max", "<=")) if key in limits]
    return " ".join([*parts, str(limits.get("unit", ""))]).strip() or "-"


def main(argv: list[str]) -> int:
    """Run the asked benchmarks, or all; 1 when a figure is outside its range."""
    parser = argparse.ArgumentParser("python -m bench", description="Figures beside the ranges of bench/ranges.json.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(names())}; default: all of them")
    asked: list[str] = parser.parse_args(argv).names
    if unknown := sorted(set(asked) - set(names())):
        parser.error(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(names())}")
    ranges: dict[str, dict[str, Any]] = json.loads(RANGES.read_text())
    print(_LINE.format("figure", "value", "range", "verdict"))
    outside = 0
    unseen = set() if asked else set(ranges)
    for name in asked or names():
        started = time.monotonic()
        figures: dict[str, float] = importlib.import_module(f"bench.{name}").measure()
        for figure, value in sorted(figures.items()):
            unseen.discard(figure)
            word = verdict(value, ranges.get(figure, {}))
            outside += word == "OUTSIDE"
            print(_LINE.format(figure, f"{value:.4g}", span(ranges.get(figure, {})), word), flush=True)
        print(f"  ({name}: {time.monotonic() - started:.0f} s)", flush=True)
    for figure in sorted(unseen):
        print(_LINE.format(figure, "none", span(ranges[figure]), "MISSING"))
    return 1 if outside or unseen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
