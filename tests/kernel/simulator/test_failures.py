"""Each failure of AITER that a tuner must live through can be ordered, and looks like the real one."""

import pytest
from tests.kernel.simulator.programs import TABLE, Run

pytestmark = [pytest.mark.torch, pytest.mark.timeout(600)]
ON = {"HIP_ONLINE_TUNING": "1"}


def test_an_unknown_index_exits_without_pythons_cleanup(run: Run) -> None:
    done = run("import atexit; atexit.register(print, 'python'); print('buffered'); call(8, index=1)")
    assert done.code == 1
    assert done.stderr.startswith("hipBLAS error: 'HIPBLAS_STATUS_INVALID_VALUE'(3) at ")
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_without_an_extension_nothing_runs(run: Run) -> None:
    assert run("call(8)", create=False).code == 1
    assert run("call(8); aiter.hipb_destroy_extension(); call(8)").code == 1


def test_zero_solutions(run: Run) -> None:
    program = """
    try:
        call(1024)
    except RuntimeError as error:
        print(error)
    """
    done = run(program, HIPBMM_SIM_FAULTS="no-solution")
    assert done.stdout.startswith("hipblasLtMatmulAlgoGetHeuristic found 0 valid solutions for TN (256, 1024, 512)")
    tuned = run("print(call(8))", HIPBMM_SIM_FAULTS="no-solution", **ON)
    assert tuned.code == 0
    assert [row[18] for row in tuned.rows] == ["0"]
    assert "False" in tuned.stdout


def test_little_memory_skips_the_lookup(run: Run) -> None:
    run("call(8)", **ON)
    done = run("assert call(8); assert call(16)", HIPBMM_SIM_FREE_MIB="128", **ON)
    assert done.code == 0
    assert done.stdout == "No space left for hipBLASLt online tuning.\n" * 2
    assert [row[5] for row in done.rows] == ["8"]


def test_some_memory_exits(run: Run) -> None:
    # 128 MiB let AITER look the problem up and tune it; its buffers for this one take 143 MB.
    done = run("call(8, K=4096)", HIPBMM_SIM_FREE_MIB="129", **ON)
    assert done.code == 1
    assert done.stderr.startswith("Hip error: 'out of memory'(2) at ")
    assert done.rows == []
    known = "import aiter_simulator.memory as m; from aiter_simulator.problem import Gemm\n"
    shapes = "((5120, 25600), (10240, 8192))"
    sizes = f"print([m.tuning_bytes(Gemm(1, N, K, lda=K, ldb=K, ldc=N)) // 10**6 for N, K in {shapes}])"
    assert run(known + sizes).stdout == "[786, 151]\n"


def test_a_miss_inside_a_capture_exits_and_a_hit_does_not(run: Run) -> None:
    program = """
    given = operands(8)
    with torch.cuda.graph(torch.cuda.CUDAGraph()):
        mm(*given)
    """
    done = run(program, **ON)
    assert done.code == 1
    assert "'operation not permitted when stream is capturing'(900)" in done.stderr
    run("call(8)", **ON)
    assert run(program, **ON).code == 0


@pytest.mark.parametrize(
    ("fault", "code"), [("exit", 1), ("hip-exit", 1), ("segv", -11), ("oom", -9), ("hang", "timeout")]
)
def test_ways_to_die(run: Run, fault: str, code: int | str) -> None:
    ordered = f"{fault}:M=16,N=256,on=tuning,times=1"
    done = run("call(8); call(16)", seconds=20 if fault == "hang" else 60, HIPBMM_SIM_FAULTS=ordered, **ON)
    assert done.code == code
    assert [row[5] for row in done.rows] == ["8"]
    assert run("assert call(16)", HIPBMM_SIM_FAULTS=ordered, **ON).code == 0


@pytest.mark.parametrize("how", ["all", "tile", "nan"])
def test_wrong_numbers_of_a_tuned_index_only(run: Run, how: str) -> None:
    ordered = f"wrong:M=8,on=tune|lookup|explicit,how={how}"
    done = run("print(call(8), call(8), call(16))", HIPBMM_SIM_FAULTS=ordered, **ON)
    assert "False False True" in done.stdout
    off = run("print(call(8))", HIPBMM_SIM_FAULTS=ordered)
    assert off.stdout == "True\n"


def test_a_lost_append_and_half_a_line(run: Run) -> None:
    lost = run("call(8); call(16)", at="lost", HIPBMM_SIM_FAULTS="lost-append:M=8", **ON)
    assert [row[5] for row in lost.rows] == ["16"]
    half = run("call(8); call(16); call(24)", at="half", HIPBMM_SIM_FAULTS="partial-line:M=16,bytes=70", **ON)
    lines = (half.directory / TABLE).read_text().splitlines()
    assert len(lines) == 3
    assert lines[2][:70].count("true,true") == 1
    assert lines[2][70:].startswith("true,true,T,N,256,24")


def test_a_slow_file_and_a_throttled_gpu(run: Run) -> None:
    timed = """
    import time
    call(8)
    started = time.monotonic(); call(8); print(time.monotonic() - started > 0.2, flush=True)
    """
    assert run(timed, HIPBMM_SIM_FAULTS="slow-file:on=lookup,ms=250", **ON).stdout.startswith("True")
    event = """
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record(); call(8); end.record(); print(start.elapsed_time(end))
    """
    normal = float(run(event, HIPBMM_SIM_JITTER="0").stdout)
    assert float(run(event, HIPBMM_SIM_JITTER="0", HIPBMM_SIM_FAULTS="throttle:factor=4").stdout) == pytest.approx(
        4 * normal
    )


def test_a_mistyped_order_stops_the_process(run: Run) -> None:
    done = run("call(8)", HIPBMM_SIM_FAULTS="exlpode:M=8")
    assert done.code == 1
    assert "unknown fault 'exlpode'" in done.stderr
