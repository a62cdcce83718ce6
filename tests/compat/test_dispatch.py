"""The table in memory in real vLLM: loaded by its own loader of plugins, in each of its kinds of processes."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.compat.test_rows import TINY
from tests.ptpc import PTPC

from compat import environment
from compat.worker import Worker
from hipbmm_kernel.dispatch import table as tables
from hipbmm_kernel.dispatch.table import Entry, Table
from hipbmm_kernel.identity import stack as stacks
from hipbmm_kernel.pod.payload import payload_command
from hipbmm_kernel.rows import gemm

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(900)

TOKENS = [1, 3, 16, 40]
"""Planned, padded to 16, planned, without an entry."""


class Server:
    """A worker of one version, a small model, the program, and a table of what AITER has tuned for M 1 and 16."""

    def __init__(self, version: str, root: Path) -> None:
        config = {**TINY, "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "quantization_config": PTPC}
        self.model = root / "model"
        self.model.mkdir()
        (self.model / "config.json").write_text(json.dumps(config))
        out = io.StringIO()
        assert payload_command([str(root)], out, out) == 0, out.getvalue()
        self.program = root / "kernel"
        self.worker = Worker(version, cpu_tensors=True)
        self.table = root / "dispatch/table"
        self.table.parent.mkdir()
        lines = self.worker.run("rows", [1, 16], str(self.model))
        columns = [line.split(",") for line in lines[1:]]
        keys = gemm.KEY_COLUMNS
        self.tuned = {gemm.problem_of(",".join(row[:keys])): int(row[keys]) for row in columns}
        self.stack = stacks.parse(self.worker.run("stack").encode())
        self.write(self.stack)

    def write(self, stack: stacks.Stack) -> None:
        exact = [Entry(*problem, False, index, problem.m) for problem, index in self.tuned.items()]
        padded = [entry._replace(m=3) for entry in exact if entry.m == 16]
        self.table.write_bytes(tables.encode(Table(stack, (*exact, *padded))))

    def serve(self, start: str = "here", program: str = "", **env: str) -> dict[str, Any]:
        env = {tables.VARIABLE: str(self.table), **env}
        answer: dict[str, Any] = self.worker.run(
            "served", TOKENS, program or str(self.program), start, str(self.model), env=env
        )
        return answer

    def from_memory(self, answer: dict[str, Any]) -> None:
        """Each call got the table's index, or the heuristic's; AITER's file was neither opened nor written."""
        for m, n, k, index, on in answer["used"]:
            expected = self.tuned.get(gemm.Problem(m, n, k))
            assert on == ("explicit" if expected else "heuristic"), (m, n, k)
            assert expected in (None, index), (m, n, k)
        assert {m for m, *_ in answer["used"]} == {1, 16, 40}, "M 3 runs as 16"
        each = len(self.tuned)  # of a padded or an unknown M: the linears of both layers
        assert answer["totals"] == [[2 * each, each, each]]
        assert (answer["opened"], answer["rows"]) == (0, 0)

    def by_file(self, answer: dict[str, Any]) -> None:
        """AITER tunes and looks up as it does without us, and computes each batch."""
        assert {m for m, *_ in answer["used"]} == set(TOKENS)
        assert {on for *_, on in answer["used"]} == {"tune", "lookup"}
        assert answer["totals"] == []
        assert answer["rows"] == 1 + 2 * len(self.tuned)


@pytest.fixture(scope="module", params=[each for each in environment.versions() if each != environment.WITHOUT_KERNEL])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(request.param, tmp_path_factory.mktemp("pod"))
    yield made
    made.worker.close()


def test_each_call_gets_the_index_of_the_table(server: Server) -> None:
    server.from_memory(server.serve())


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_have_the_table(server: Server, start: str) -> None:
    server.from_memory(server.serve(start))


@pytest.mark.parametrize("plugins", ["hipbmm_dispatch", "other,hipbmm_dispatch"])
def test_plugins_that_name_it(server: Server, plugins: str) -> None:
    server.from_memory(server.serve(VLLM_PLUGINS=plugins))


@pytest.mark.parametrize("plugins", ["other", ""])
def test_plugins_that_leave_it_out(server: Server, plugins: str) -> None:
    server.by_file(server.serve(VLLM_PLUGINS=plugins))


@pytest.mark.parametrize("fault", ["absent", "no module", "torn", "no table", "another stack"])
def test_whatever_is_broken_vllm_serves_with_the_file(server: Server, tmp_path: Path, fault: str) -> None:
    table, program = tmp_path / "table", tmp_path / "kernel"
    table.write_bytes(server.table.read_bytes())
    program.symlink_to(server.program)
    if fault == "absent":
        program = tmp_path / "nothing"
    elif fault == "no module":
        program = tmp_path / "broken"
        (program / "hipbmm_dispatch-0.dist-info").mkdir(parents=True)
        (program / "hipbmm_dispatch-0.dist-info/METADATA").write_text("Name: hipbmm_dispatch\nVersion: 0\n")
        text = "[vllm.general_plugins]\nhipbmm_dispatch = hipbmm_kernel.dispatch.gone:register\n"
        (program / "hipbmm_dispatch-0.dist-info/entry_points.txt").write_text(text)
    elif fault == "torn":
        table.write_bytes(table.read_bytes()[:-9])
    elif fault == "no table":
        table.unlink()
    else:
        found = tables.decode(table.read_bytes())
        table.write_bytes(tables.encode(found._replace(stack=found.stack._replace(compute_units=38))))
    server.by_file(server.serve(program=str(program), HIPBMM_DISPATCH_TABLE=str(table)))
