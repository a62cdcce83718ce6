"""What all commands have in common."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.kernel.mi300x import STACK
from tests.kernel.pods import rows
from tests.kernel.store import stores as stores_of_tests
from tests.unit.kernel.cli.commands import answer, run
from tests.unit.kernel.csvtext import file, row

from hipbmm_kernel.cli import command_line, stores
from hipbmm_kernel.cli.acceptance import acceptance_command
from hipbmm_kernel.cli.check import check_command
from hipbmm_kernel.cli.command_line import Answer
from hipbmm_kernel.cli.plan import plan_command

if TYPE_CHECKING:
    from collections.abc import Callable

COMMANDS = {
    "plan": plan_command,
    "check": check_command,
    "merge": stores.merge_command,
    "export": stores.export_command,
    "import": stores.import_command,
    "compact": stores.compact_command,
    "acceptance": acceptance_command,
}
ON_NOTHING: dict[str, tuple[str, ...]] = {
    "plan": ("--config", "{}/none"),
    "check": ("{}/none",),
    "merge": ("{}/none", "--out", "{}/out"),
    "export": ("{}/none", "{}/out"),
    "import": ("{}/none", "{}/none"),
    "compact": ("{}/none",),
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())
def test_help_is_no_error(command: Callable[..., int]) -> None:
    code, out, err = run(command, "--help")

    assert (code, err) == (0, "")
    assert "usage:" in out


@pytest.mark.parametrize(("name", "command"), COMMANDS.items(), ids=COMMANDS.keys())
def test_wrong_usage_names_the_command_and_prints_no_answer(name: str, command: Callable[..., int]) -> None:
    code, out, err = run(command, "--nonsense", "-o", "json")

    assert (code, out) == (2, "")
    assert name in err


@pytest.mark.parametrize(("name", "arguments"), ON_NOTHING.items(), ids=ON_NOTHING.keys())
def test_what_is_not_there_is_one_json_value_and_one_line(
    tmp_path: Path, name: str, arguments: tuple[str, ...]
) -> None:
    argv = [argument.format(tmp_path) for argument in arguments]
    code, found = answer(COMMANDS[name], *argv)

    assert code == 1
    assert isinstance(found, dict)
    code, out, err = run(COMMANDS[name], *argv)
    assert code == 1
    assert "none" in out + err
    assert len((out + err).splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_foreign_text_in_a_complaint_stays_one_line() -> None:
    parser, stderr = command_line.Parser("check", "x"), io.StringIO()
    hostile = "a\r\x1b[2J\nhipbmm-shard x 1/1 QUJD\u2028"
    code = command_line.run(parser, [], io.StringIO(), stderr, lambda _: Answer({}, "", (hostile,), wrong=True))

    assert code == 1
    assert len(stderr.getvalue().splitlines()) == 1
    assert stderr.getvalue().rstrip("\n").isprintable()


WRITING: dict[str, tuple[str, ...]] = {
    "check": ("{}/a.csv", "--repair"),
    "merge": ("{}/store", "--out"),
    "export": ("{}/store",),
}


@pytest.mark.parametrize("behind", ["", "a link to it"])
@pytest.mark.parametrize("kind", ["fifo", "directory", "device"])
@pytest.mark.parametrize(("name", "arguments"), WRITING.items(), ids=WRITING.keys())
def test_only_a_file_is_replaced(tmp_path: Path, name: str, arguments: tuple[str, ...], kind: str, behind: str) -> None:
    """`--repair /dev/stdout` by root would make a file of it, for all that run in the container."""
    stores_of_tests.put(tmp_path / "store", STACK, *rows(3))
    (tmp_path / "a.csv").write_bytes(file(row()))
    target = tmp_path / "target"
    if kind == "fifo":
        os.mkfifo(target)
    elif kind == "directory":
        target.mkdir()
    else:
        target = Path("/dev/null")
    wanted = tmp_path / "link" if behind else target
    if behind:
        wanted.symlink_to(target)
    before = (target.stat().st_mode, target.stat().st_ino)
    assert run(COMMANDS[name], *(argument.format(tmp_path) for argument in arguments), wanted)[0] == 1
    assert (target.stat().st_mode, target.stat().st_ino) == before
    assert wanted.is_symlink() == bool(behind)


@pytest.mark.parametrize(("name", "arguments"), WRITING.items(), ids=WRITING.keys())
def test_a_link_stays_one_and_its_file_is_written(tmp_path: Path, name: str, arguments: tuple[str, ...]) -> None:
    stores_of_tests.put(tmp_path / "store", STACK, *rows(3))
    (tmp_path / "a.csv").write_bytes(file(row()))
    (tmp_path / "link").symlink_to("real")
    assert run(COMMANDS[name], *(argument.format(tmp_path) for argument in arguments), tmp_path / "link")[0] == 0
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").stat().st_size
