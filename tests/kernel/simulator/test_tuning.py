"""The stand-in's life with its table, in the order AITER does things."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.kernel.simulator.programs import PREAMBLE, TABLE, Run

pytestmark = [pytest.mark.torch, pytest.mark.timeout(600)]
ON = {"HIP_ONLINE_TUNING": "1"}


def test_the_first_call_tunes_and_the_second_looks_up(run: Run) -> None:
    done = run("assert call(64)", **ON)
    assert done.code == 0, done.stderr
    (row,) = done.rows
    fixed = [
        "true",
        "true",
        "T",
        "N",
        "256",
        "64",
        "512",
        "f8_e4m3_fnuz_r",
        "512",
        "0",
        "f8_e4m3_fnuz_r",
        "512",
        "0",
        "bf16_r",
        "256",
        "0",
        "f32_r",
        "1",
    ]
    assert row[:18] == fixed
    assert int(row[18]) > 0
    assert 500 <= len(row[19]) <= 600
    assert done.stdout == "Tuning hip GEMM (256, 64, 512)\n"
    again = run("assert call(64) and call(64)", **ON)
    assert (again.code, again.stdout, again.rows) == (0, "", [row])


@pytest.mark.parametrize(
    ("value", "tunes"), [("1", True), ("true", True), ("TRUE", False), ("yes", False), ("", False)]
)
def test_only_1_and_true_switch_tuning_on(run: Run, value: str, tunes: bool) -> None:
    assert bool(run("assert call(8)", HIP_ONLINE_TUNING=value).rows) is tunes


def test_beyond_512_tokens_nothing_is_looked_up(run: Run) -> None:
    done = run("assert call(512); assert call(513)", **ON)
    assert [row[5] for row in done.rows] == ["512"]


def test_the_tuned_index_is_faster_than_the_heuristics_and_an_explicit_one_is_overwritten(run: Run) -> None:
    tuned = run("assert all([call(M) for M in (1, 8, 16, 64, 128, 256)])", **ON)
    program = """
    def us(M, index):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        given = operands(M)
        start.record(); mm(*given, index=index); end.record()
        return start.elapsed_time(end)
    """
    rows = {int(row[5]): int(row[18]) for row in tuned.rows}
    compare = f"{program}\n    for M, index in {rows}.items(): print(us(M, -1) / us(M, index), flush=True)"
    off = run(compare, HIP_ONLINE_TUNING="0", HIPBMM_SIM_JITTER="0")
    assert off.code == 0, off.stderr
    gains = [float(line) for line in off.stdout.split()]
    assert len(gains) == 6
    assert sum(gain > 1.03 for gain in gains) >= 3
    # With tuning on, index 1 is replaced by the row's; without it, the process dies of an unknown index.
    assert run("assert call(64, index=1)", **ON).code == 0
    assert run("call(64, index=1)").code == 1


def test_rows_of_another_build_are_wrong_or_fatal_and_never_noticed(run: Run, tmp_path: Path) -> None:
    here, there = ({"HIPBMM_SIM_ROCM": str(tmp_path), "HIPBMM_SIM_HIPBLASLT": v} | ON for v in ("1.2.2", "1.2.1"))
    tuned = run("assert all([call(M) for M in range(1, 41)])", **here)
    assert (tuned.code, len(tuned.rows)) == (0, 40)
    each = """
    call(600)
    for M in range(1, 41):
        child = os.fork()
        if child == 0:
            os._exit(0 if call(M) else 3)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    """
    done = run(each, **there)
    assert len(done.rows) == 40
    outcomes = [int(line) for line in done.stdout.split()]
    assert len(outcomes) == 40
    assert outcomes.count(1) > 15
    assert outcomes.count(3) + outcomes.count(-6) >= 3
    assert outcomes.count(0) <= 10


def test_a_read_only_table_is_tuned_again_on_every_call(run: Run) -> None:
    program = f"""
    os.mkdir("{TABLE}")
    assert call(8) and call(8)
    """
    assert run(program, **ON).stdout == "Tuning hip GEMM (256, 8, 512)\n" * 2


def test_a_negative_row_is_tuned_again_for_ever(run: Run, tmp_path: Path) -> None:
    first = run("call(8)", **ON)
    row = ",".join([*first.rows[0][:18], "-1", "K"])
    (tmp_path / "cwd" / TABLE).write_text(f"{row}\n")
    done = run("[call(8) for _ in range(3)]", **ON)
    assert len(done.rows) == 3
    assert done.stdout.count("Tuning") == 3


def test_output_of_a_killed_process_is_lost_and_its_rows_are_not(run: Run) -> None:
    done = run("call(8); os.kill(os.getpid(), 9)", **ON)
    assert (done.code, done.stdout, len(done.rows)) == (-9, "", 1)


def test_the_old_generation_lacks_the_check_and_the_parameter(environment: dict[str, str], tmp_path: Path) -> None:
    program = PREAMBLE + (
        "aiter.hipb_create_extension()\n"
        "print(call(1024))\n"
        "try:\n    mm(*operands(8), use_gelu=None)\nexcept TypeError as error:\n    print(error)\n"
        "print(len(aiter.getHipblasltKernelName(0)))\n"
    )
    old = {"HIPBMM_SIM_AITER": "0.1.11", "HIPBMM_SIM_FAULTS": "no-solution"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, env=environment | old, capture_output=True, text=True, check=True)
    answer, refusal, length = done.stdout.splitlines()
    assert answer == "False"
    assert "use_gelu" in refusal
    assert int(length) >= 500
