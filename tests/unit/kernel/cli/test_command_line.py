"""What all commands have in common."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from tests.unit.kernel.cli.commands import answer, run

from hipbmm_kernel.cli import command_line, stores
from hipbmm_kernel.cli.acceptance import acceptance_command
from hipbmm_kernel.cli.check import check_command
from hipbmm_kernel.cli.command_line import Answer
from hipbmm_kernel.cli.plan import plan_command

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

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
