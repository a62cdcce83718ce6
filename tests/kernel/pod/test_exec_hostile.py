"""`exec` where everything around it is odd: the server starts all the same, and a start that counts is counted."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.kernel.pods import Pod, row

from hipbmm_kernel.pod import served_file, state_file
from hipbmm_kernel.rows import gemm

SHOW = "import json, os; print(json.dumps({'on': os.environ.get('VLLM_ROCM_USE_AITER_LINEAR_HIPBMM'), "
SHOW += "'table': os.path.exists('hip_online_tuning_res.csv')}))"
TABLE = f"{gemm.HEADER}\n{row().key},77,-\n"
ENDED_ONCE = {"starts": 1, "crashes": 0, "mode": "Tuned", "started": 0.0, "boot": ""}
Damage = Callable[[Pod], None]


def state_that_is_a_link_to_somebody_elses_file(pod: Pod) -> None:
    (pod.root / "elsewhere").write_text("somebody's own")
    (pod.home / "state.json").symlink_to(pod.root / "elsewhere")


def state_that_is_a_pipe(pod: Pod) -> None:
    os.mkfifo(pod.home / "state.json")


def state_of_a_terabyte(pod: Pod) -> None:
    with (pod.home / "state.json").open("wb") as file:
        file.truncate(1 << 40)


def state_with(pod: Pod, **fields: object) -> None:
    (pod.home / "state.json").write_text(json.dumps({**ENDED_ONCE, **fields}))


def state_with_negative_counts(pod: Pod) -> None:
    state_with(pod, crashes=-5)


def state_with_a_count_that_is_true(pod: Pod) -> None:
    state_with(pod, starts=True)


def state_with_an_unknown_mode(pod: Pod) -> None:
    state_with(pod, mode="Turbo")


def state_with_a_time_that_is_no_number(pod: Pod) -> None:
    (pod.home / "state.json").write_text(json.dumps({**ENDED_ONCE, "started": float("nan")}))


def state_in_deep_brackets(pod: Pod) -> None:
    (pod.home / "state.json").write_text("[" * 4096)


def state_that_nobody_may_write(pod: Pod) -> None:
    state_with(pod, starts=0)
    (pod.home / "state.json").chmod(0o444)


def report_in_deep_brackets(pod: Pod) -> None:
    (pod.home / "report.json").write_text("[" * 1_000_000)


def report_that_is_a_pipe(pod: Pod) -> None:
    (pod.home / "report.json").unlink()
    os.mkfifo(pod.home / "report.json")


def report_that_links_to_itself(pod: Pod) -> None:
    (pod.home / "report.json").unlink()
    (pod.home / "report.json").symlink_to(pod.home / "report.json")


def report_in_another_encoding(pod: Pod) -> None:
    (pod.home / "report.json").write_bytes(b"\xff\xfe{\x00}\x00\xff")


def report_without_an_answer(pod: Pod) -> None:
    (pod.home / "report.json").write_text("{}")


def report_with_an_answer_that_is_no_boolean(pod: Pod) -> None:
    (pod.home / "report.json").write_text('{"state": "Complete", "hipbmm": "false"}')


def table_that_nobody_may_write(pod: Pod) -> None:
    pod.served_file.chmod(0o444)


def table_behind_a_link(pod: Pod) -> None:
    pod.served_file.rename(pod.root / "elsewhere")
    pod.served_file.symlink_to(pod.root / "elsewhere")


def directory_of_the_table_that_is_a_file(pod: Pod) -> None:
    pod.served_file.unlink()
    pod.served_file.parent.rmdir()
    pod.served_file.parent.write_text("")


def no_home(pod: Pod) -> None:
    pod.env["HIPBMM_HOME"] = str(pod.root / "nothing" / "there")


OFF_ONCE = [
    state_of_a_terabyte,
    state_with_negative_counts,
    state_with_a_count_that_is_true,
    state_with_an_unknown_mode,
    state_with_a_time_that_is_no_number,
    state_in_deep_brackets,
]
"""What is damaged is written anew by the first start."""
OFF = [
    state_that_is_a_link_to_somebody_elses_file,
    state_that_is_a_pipe,
    state_that_nobody_may_write,
    report_in_deep_brackets,
    report_that_is_a_pipe,
    report_that_links_to_itself,
    report_in_another_encoding,
    report_without_an_answer,
    report_with_an_answer_that_is_no_boolean,
    table_that_nobody_may_write,
    directory_of_the_table_that_is_a_file,
    no_home,
]


def in_memory(pod: Pod) -> Path:
    """The place of the table in memory, for which the report asks."""
    (pod.home / "report.json").write_text('{"state": "Complete", "hipbmm": true, "dispatch": "Memory"}')
    (pod.home / "dispatch").mkdir()
    return pod.home / "dispatch" / "table"


def memory_that_is_a_pipe(pod: Pod) -> None:
    os.mkfifo(in_memory(pod))


def memory_of_a_terabyte(pod: Pod) -> None:
    with in_memory(pod).open("wb") as file:
        file.truncate(1 << 40)


def memory_that_links_to_a_device(pod: Pod) -> None:
    in_memory(pod).symlink_to("/dev/zero")


def memory_in_a_directory_that_is_a_file(pod: Pod) -> None:
    in_memory(pod).parent.rmdir()
    (pod.home / "dispatch").write_text("")


def words_that_are_a_directory(pod: Pod) -> None:
    (in_memory(pod).parent / "asked").mkdir()


def cache_that_is_a_pipe(pod: Pod) -> None:
    os.mkfifo(pod.home / "cache")


def cache_that_links_to_itself(pod: Pod) -> None:
    (pod.home / "cache").symlink_to(pod.home / "cache")


def rest_of_a_table_that_is_a_directory(pod: Pod) -> None:
    (pod.served_file.parent / f"{pod.served_file.name}.without").mkdir()


ON = [
    memory_that_is_a_pipe,
    memory_of_a_terabyte,
    memory_that_links_to_a_device,
    memory_in_a_directory_that_is_a_file,
    words_that_are_a_directory,
    cache_that_is_a_pipe,
    cache_that_links_to_itself,
    rest_of_a_table_that_is_a_directory,
]
"""What a server with its file does not need."""


@pytest.fixture
def ready(pod: Pod) -> Pod:
    """A pod after `warm`, started where its root directory is."""
    pod.served_file.parent.mkdir(parents=True)
    pod.served_file.write_text(TABLE)
    (pod.home / "report.json").write_text('{"state": "Complete", "hipbmm": true}')
    return pod


def starts(pod: Pod, count: int, **env: str) -> list[dict[str, object]]:
    """What the server of each start sees; each was counted, on the disk or in memory, which is given back."""
    spare = Path(state_file.spare(pod.settings().state_file, pod.env["HIPBMM_POD_UID"]))
    seen = []
    try:
        for number in range(1, count + 1):
            done = pod.run_bound_by_permissions("exec", "--", sys.executable, "-c", SHOW, **env)
            assert done.returncode == 0, done.stderr
            assert f"hipbmm exec: start {number} of the server, " in done.stderr
            seen.append(json.loads(done.stdout))
    finally:
        spare.unlink(missing_ok=True)
    return seen


@pytest.mark.parametrize("damage", OFF_ONCE)
def test_a_damaged_state_costs_hipbmm_once(ready: Pod, damage: Damage) -> None:
    damage(ready)
    assert [seen["on"] for seen in starts(ready, 2)] == ["0", "1"]


@pytest.mark.parametrize("damage", OFF)
def test_what_stays_broken_costs_hipbmm_and_starts_are_counted(ready: Pod, damage: Damage) -> None:
    damage(ready)
    assert [seen["on"] for seen in starts(ready, 2)] == ["0", "0"]


@pytest.mark.parametrize("damage", ON)
def test_what_the_file_does_not_need_costs_nothing(ready: Pod, damage: Damage) -> None:
    damage(ready)
    assert starts(ready, 2) == [{"on": "1", "table": True}] * 2
    assert ready.served_file.read_text() == TABLE


def test_a_link_is_never_followed(ready: Pod) -> None:
    state_that_is_a_link_to_somebody_elses_file(ready)
    starts(ready, 2)
    assert (ready.root / "elsewhere").read_text() == "somebody's own"
    (ready.home / "state.json").unlink()
    table_behind_a_link(ready)
    assert starts(ready, 1)[0]["table"] is False
    assert (ready.root / "elsewhere").read_text() == TABLE


@pytest.mark.parametrize(
    ("redirect", "env"),
    [
        ("2>&-", {}),
        ("2>/dev/full", {}),
        (">&- 2>&-", {}),
        ("<&- 2>/dev/full", {}),
        ("2>/dev/full", {"PYTHONIOENCODING": "ascii:strict", "LC_ALL": "C"}),
        ("2>/dev/null", {"PYTHONIOENCODING": "utf-16", "PYTHONUNBUFFERED": "1"}),
        ("2>/dev/null", {"HIPBMM_NODE_NAME": "\udcff", "LC_ALL": "C", "PYTHONUTF8": "0"}),
        ("2>/dev/null", {"PYTHONWARNINGS": "error", "PYTHONHASHSEED": "0", "PYTHONOPTIMIZE": "2"}),
        ("2>/dev/null", {"PATH": "/usr/bin:/bin"}),
        ("2>/dev/null", {"HIPBMM_HOME": "{home}/"}),
    ],
)
def test_odd_descriptors_and_an_odd_environment_start_the_server_with_its_table(
    ready: Pod, redirect: str, env: dict[str, str]
) -> None:
    server = (
        f'test -s "$PWD/hip_online_tuning_res.csv" && echo "$VLLM_ROCM_USE_AITER_LINEAR_HIPBMM" > {ready.root}/seen'
    )
    command = ["sh", "-c", f'exec "$@" {redirect}', "sh", *ready.command("exec", "--", "sh", "-c", server)]
    given = {**ready.env, **{name: value.format(home=ready.home) for name, value in env.items()}}
    done = subprocess.run(command, env=given, cwd=ready.root, check=False)
    assert done.returncode == 0
    assert (ready.root / "seen").read_text() == "1\n"


@pytest.mark.parametrize("limit", ["ulimit -f 0", "ulimit -n 12", "ulimit -s 256", "umask 0777"])
def test_limits_of_the_container_do_not_keep_the_server_from_starting(ready: Pod, limit: str) -> None:
    command = ["sh", "-c", f'{limit} && exec "$@"', "sh", *ready.command("exec", "--", "sh", "-c", "echo serving")]
    done = subprocess.run(command, env=ready.env, cwd=ready.root, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "serving\n"), done.stderr
    Path(state_file.spare(ready.settings().state_file, ready.env["HIPBMM_POD_UID"])).unlink(missing_ok=True)


@pytest.mark.parametrize("kind", ["directory", "link to nothing", "read-only", "gone"])
def test_an_odd_working_directory_still_leads_to_the_table(ready: Pod, kind: str) -> None:
    here = ready.root / "app"
    here.mkdir()
    name = here / ready.served_file.name
    if kind == "directory":
        name.mkdir()
    elif kind == "link to nothing":
        name.symlink_to("/nothing")
    elif kind == "read-only":
        here.chmod(0o555)
    else:
        here.rmdir()
    ready.root = here.parent
    script = f'cd {here} 2>/dev/null; {"mkdir x; cd x; rmdir ../x;" if kind == "gone" else ""} exec "$@"'
    command = ["sh", "-c", script, "sh", *ready.command("exec", "--", sys.executable, "-c", SHOW)]
    done = subprocess.run(command, env=ready.env, cwd=ready.root, capture_output=True, text=True, check=False)
    assert json.loads(done.stdout) == {"on": "1", "table": True}, done.stderr


@pytest.mark.parametrize("setting", ["HIPBMM_WARMUP_SECONDS", "HIPBMM_TOKENS", "HIPBMM_POLICY", "HIPBMM_POD_UID"])
def test_a_wrong_setting_costs_all_of_ours_and_not_the_server(ready: Pod, setting: str) -> None:
    server = ("sh", "-c", "echo ${VLLM_ROCM_USE_AITER-none} ${HIP_ONLINE_TUNING-none}")
    ours = {"VLLM_ROCM_USE_AITER": "1", "HIP_ONLINE_TUNING": "1"}
    done = ready.run("exec", "--", *server, **ours, HIPBMM_USER_FLAGS="VLLM_ROCM_USE_AITER", **{setting: "?!"})
    assert (done.returncode, done.stdout) == (0, "1 none\n"), done.stderr
    assert f"mode NoAiter: {setting}" in done.stderr
    blocked = ready.run("exec", "--", *server, HIPBMM_POLICY="Block", HIPBMM_POD_UID="?!")
    assert (blocked.returncode, blocked.stdout) == (2, "")


def test_policy_block_starts_no_server_that_nothing_is_known_of(ready: Pod) -> None:
    odd = f"{ready.home}\udcff"  # a name that is no UTF-8, which nobody has thought of everywhere
    done = ready.run("exec", "--", "sh", "-c", "echo serving", HIPBMM_HOME=odd, HIPBMM_POLICY="Block")
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    served = ready.run("exec", "--", "sh", "-c", "echo serving", HIPBMM_HOME=odd)
    assert (served.returncode, served.stdout) == (0, "serving\n")


def test_what_a_start_that_was_killed_has_left_does_not_speak_against_the_disk(ready: Pod) -> None:
    ready.served_file.unlink()
    left = ready.served_file.with_name(f"{ready.served_file.name}.{os.getpid()}.probe")
    left.touch()
    served_file.check_appendable(str(ready.served_file))
    assert not left.exists()


def test_arguments_that_are_no_text_reach_the_server(ready: Pod) -> None:
    odd = [b"\xff\xfe", b"", b"a\nb", b"\x1b[2J", b"--x=\xed\xb3\xbf"]
    command = [
        *ready.command("exec", "--", sys.executable, "-c", "import os, sys; print(list(map(os.fsencode, sys.argv)))")
    ]
    done = subprocess.run([*command, *odd], env=ready.env, cwd=ready.root, capture_output=True, text=True, check=True)
    assert done.stdout == f"{[b'-c', *odd]}\n"


def test_what_somebody_else_wrote_is_one_line_of_the_log(ready: Pod) -> None:
    forged = "\x1b[2J\nhipbmm exec: start 9 of the server, mode NoAiter: forged\r\u2028"
    report = {"state": "Partial", "hipbmm": False, "reason": forged, "message": forged}
    (ready.home / "report.json").write_text(json.dumps(report))
    for arguments, env in (
        (("--", "true"), {}),
        (("--", "true"), {"HIPBMM_POLICY": "Block"}),
        (("--foreign", "--", "true"), {}),
    ):
        log = ready.run("exec", *arguments, **env).stderr
        assert all(line.isprintable() for line in log.split("\n"))
        assert not any(line.startswith("hipbmm exec: start 9") for line in log.splitlines())


def test_a_state_that_is_lost_before_each_start_is_counted_in_memory(ready: Pod) -> None:
    spare = Path(state_file.spare(ready.settings().state_file, ready.env["HIPBMM_POD_UID"]))
    logs = []
    try:
        for damage in (*OFF_ONCE[1:6], state_in_deep_brackets):
            damage(ready)
            logs.append(ready.run("exec", "--", "false").stderr)
    finally:
        spare.unlink(missing_ok=True)
    assert "mode NoAiter" in logs[4]
    assert "mode NoAiter" in logs[5]
