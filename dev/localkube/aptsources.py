"""Which Debian mirror this machine's own apt configuration names. Pure, but for one call of apt-get."""

import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from localkube.errors import LocalkubeError

_COMPONENT = "main"


def mirror(release: str) -> str:
    """The URL of a mirror of the Debian archive, for a release that the machine itself need not have.

    Raises LocalkubeError when apt names none: the machine is no Debian, or has third-party repositories only.
    """
    candidates = _labelled() or debian_mirrors(_from_files(Path("/etc/apt")))
    if not candidates:
        raise LocalkubeError(
            f"apt's configuration names no mirror of Debian, from which the {release} base images are made: "
            "run on Debian, or pass --base-image with an image that has Python 3"
        )
    return candidates[0]


def debian_mirrors(targets: Iterable[tuple[str, str]]) -> list[str]:
    """From `(address, suite)`: addresses of the main archive, in their order, each once, without a slash at the end.

    Third-party repositories name Debian's suites too, so that the address decides: on a mirror it ends in `debian`.
    """
    bases = [address.rstrip("/") for address, suite in targets if not suite.endswith("-security")]
    return list(dict.fromkeys(base for base in bases if base.rpartition("/")[2] == "debian" and _usable(base)))


def parse_targets(text: str) -> list[str]:
    """From apt's own view, `origin|label|address` lines: what calls itself Debian, whatever its address looks like."""
    rows = [line.split("|") for line in text.splitlines()]
    bases = [row[2].strip().rstrip("/") for row in rows if row[:2] == ["Debian", "Debian"]]
    return list(dict.fromkeys(filter(_usable, bases)))


def _usable(address: str) -> bool:
    """What debootstrap can read: not apt's mirror lists or CD-ROMs."""
    return address.startswith(("http://", "https://", "file:"))


def parse_one_line(text: str) -> Iterator[tuple[str, str]]:
    """`deb [options] address suite component...` lines of sources.list."""
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+(.*)", line)
        if match and _COMPONENT in match[3].split():
            yield match[1], match[2]


def parse_deb822(text: str) -> Iterator[tuple[str, str]]:
    """Stanzas of a .sources file; several addresses and suites in one stanza, folded lines, disabled stanzas."""
    for stanza in re.split(r"\n\s*\n", text):
        fields = _fields(stanza)
        enabled = fields.get("enabled", "yes").strip().lower() not in {"no", "false", "0"}
        if not enabled or "deb" not in fields.get("types", "").split():
            continue
        if _COMPONENT not in fields.get("components", "").split():
            continue
        for address in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield address, suite


def _fields(stanza: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    name = ""
    for line in stanza.splitlines():
        if line.startswith("#"):
            continue
        if line[:1].isspace() and name:
            fields[name] += f" {line.strip()}"
        elif ":" in line:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields[name] = value.strip()
    return fields


def _labelled() -> list[str]:
    """Apt's own view; empty where it has no lists yet, for the label comes from the Release file."""
    command = ["apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)", "Created-By: Packages"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return []
    return parse_targets(result.stdout)


def _from_files(root: Path) -> list[tuple[str, str]]:
    """The configuration itself."""
    found: list[tuple[str, str]] = []
    for path in [root / "sources.list", *sorted((root / "sources.list.d").glob("*"))]:
        if path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            found += parse_deb822(text) if path.suffix == ".sources" else parse_one_line(text)
    return found
