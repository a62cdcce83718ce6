"""The arguments of the server: what is added to the user's, and which of theirs contradict a field."""

from typing import Any

import pytest
from tests.unit.operator.make import resource, typed

from hipbmm_operator.resources import server_args

Json = dict[str, Any]


def command(spec: Json) -> server_args.Command:
    return server_args.resolve(typed(resource(spec)))


@pytest.mark.parametrize(
    ("spec", "arguments", "gpus", "port"),
    [
        ({}, ["--tensor-parallel-size", "1", "--port", "8000"], 1, 8000),
        ({"parallelism": {"tensor": 4}}, ["--tensor-parallel-size", "4", "--port", "8000"], 4, 8000),
        (
            {"parallelism": {"tensor": 2, "pipeline": 2}},
            ["--tensor-parallel-size", "2", "--pipeline-parallel-size", "2", "--port", "8000"],
            4,
            8000,
        ),
        ({"server": {"args": ["--port=8000", "-tp", "1"]}}, ["--port=8000", "-tp", "1"], 1, 8000),
        (
            {"server": {"args": ["--tensor_parallel_size", "1"]}},
            ["--tensor_parallel_size", "1", "--port", "8000"],
            1,
            8000,
        ),
        (
            {"model": {"name": "m", "servedName": "s"}},
            ["--tensor-parallel-size", "1", "--served-model-name", "s", "--port", "8000"],
            1,
            8000,
        ),
    ],
)
def test_arguments_are_added_unless_given(spec: Json, arguments: list[str], gpus: int, port: int) -> None:
    found = command(spec)
    assert (list(found.arguments), found.gpus, found.port, found.problems) == (arguments, gpus, port, ())


@pytest.mark.parametrize(
    ("args", "reported"),
    [
        (["--tensor-parallel-size", "8"], "--tensor-parallel-size 8"),
        (["-tp=8"], "--tensor-parallel-size 8"),
        (["--port", "x"], "'x'"),
        (["--port"], "''"),
        (["--tensor-parallel-size", "-4"], "'-4'"),
    ],
)
def test_arguments_that_contradict_a_field_are_reported(args: list[str], reported: str) -> None:
    (problem,) = command({"server": {"args": args}}).problems
    assert reported in problem


def test_arguments_are_passed_as_they_are() -> None:
    hostile = ["; rm -rf /", "$(id)", "`id`", "--host", "::"]
    assert list(command({"server": {"args": hostile}}).argv[3:8]) == hostile


@pytest.mark.parametrize(
    ("args", "gpus"),
    [
        (["--data-parallel-size", "8", "--enable-expert-parallel"], 8),
        (["-dp", "8"], 8),
        (["--data_parallel_size=8"], 8),
        (["-dp=2", "-pcp", "2"], 4),
        (["--prefill-context-parallel-size", "2"], 2),
        (["-dp", "8", "-dpl", "8"], 8),
        (["--decode-context-parallel-size", "2"], 1),
        (["--data-parallel-backend", "mp", "--data-parallel-rpc-port", "5000"], 1),
    ],
)
def test_every_flag_that_takes_gpus_counts(args: list[str], gpus: int) -> None:
    found = command({"server": {"args": args}})
    assert (found.gpus, found.problems) == (gpus, ())
    assert list(found.arguments[: len(args)]) == args


def test_data_parallelism_has_a_field() -> None:
    found = command({"parallelism": {"tensor": 2, "data": 4}})
    assert (found.gpus, found.problems) == (8, ())
    assert found.arguments[:4] == ("--tensor-parallel-size", "2", "--data-parallel-size", "4")
    (problem,) = command({"parallelism": {"data": 4}, "server": {"args": ["-dp", "2"]}}).problems
    assert "--data-parallel-size 2 must not differ from spec.parallelism.data 4" in problem


@pytest.mark.parametrize(
    ("args", "gpus"),
    [(["--tensor-parallel", "4"], 4), (["--tens=4"], 4), (["-t", "4"], 4), (["--tensor_par", "4"], 4)],
)
def test_an_abbreviation_is_read_and_nothing_is_added_to_it(args: list[str], gpus: int) -> None:
    found = command({"parallelism": {"tensor": 4}, "server": {"args": args}})
    assert (found.gpus, found.problems) == (gpus, ())
    assert list(found.arguments) == [*args, "--port", "8000"]
    (problem,) = command({"server": {"args": args}}).problems
    assert "--tensor-parallel-size 4 must not differ" in problem


@pytest.mark.parametrize("flag", ["--data-parallel", "--data", "--p", "-d", "-p", "--ssl"])
def test_an_abbreviation_of_several_flags_is_refused(flag: str) -> None:
    (problem,) = command({"server": {"args": [flag, "2"]}}).problems
    assert f"{flag} may mean" in problem
    assert "write the flag in full" in problem


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--headless"], "--headless"),
        (["-dp", "2", "-dpl", "2", "-dpm"], "--data-parallel-multi-port-external-lb"),
        (["-dp", "2", "-dpl", "2", "--data-parallel-multi"], "--data-parallel-multi-port-external-lb"),
        (["--headl"], "--headless"),
        (["--uds", "/tmp/socket"], "--uds"),  # noqa: S108
        (["--host", "127.0.0.1"], "--host 127.0.0.1"),
        (["--host=127.1.2.3"], "--host 127.1.2.3"),
        (["--host", "localhost"], "--host localhost"),
        (["--host", "::1"], "--host ::1"),
        (["--ho", "[::1]"], "--host [::1]"),
        (["--host", "127.1"], "--host 127.1"),
        (["--host", "0x7f000001"], "--host 0x7f000001"),
        (["--host", "0177.0.0.1"], "--host 0177.0.0.1"),
        (["--host", "2130706433"], "--host 2130706433"),
        (["--host", "::ffff:127.0.0.1"], "--host ::ffff:127.0.0.1"),
        (["--host", "LOCALHOST."], "--host LOCALHOST."),
        (["--host", "vllm.localhost"], "--host vllm.localhost"),
        (["--nnodes", "2"], "--nnodes"),
        (["-n", "2"], "--nnodes"),
        (["-n2"], "--nnodes"),
        (["-r=1"], "--node-rank"),
        (["-r1"], "--node-rank"),
        (["--data-parallel-rank", "1"], "--data-parallel-rank"),
        (["-dpn", "1"], "--data-parallel-rank"),
        (["--data-parallel-external-lb"], "--data-parallel-external-lb"),
        (["--api-server-count", "0"], "--api-server-count 0"),
        (["--ssl-cert-reqs", "2"], "--ssl-cert-reqs"),
        (["-dp", "16", "-dpl", "8"], "--data-parallel-size-local 8 must be all 16 ranks"),
        (["-dpl=2"], "--data-parallel-size-local 2 must be all 1 ranks"),
        (["-dp", "128"], "128 GPUs for one replica are more than 64"),
        (["-dp", "0"], "--data-parallel-size must be a positive number"),
        (["--port", "0000000019999999"], "--port must be a positive number"),
        (["-dp"], "--data-parallel-size must be a positive number"),
    ],
)
def test_a_server_that_nobody_could_reach_is_refused_by_name(args: list[str], told: str) -> None:
    (problem,) = command({"server": {"args": args}}).problems
    assert problem.startswith("spec.server.args: ")
    assert told in problem


@pytest.mark.parametrize(
    "args",
    [
        ["--host", "::"],
        ["--host", "0.0.0.0"],  # noqa: S104
        ["--host", "server.local"],
        ["--host", "10.1"],
        ["--host", "::ffff:0.0.0.0"],
        ["--api-server-count", "4"],
        ["-O3", "-dcp", "2"],
    ],
)
def test_a_server_that_can_be_reached_is_taken_as_it_is(args: list[str]) -> None:
    assert command({"server": {"args": args}}).problems == ()


@pytest.mark.parametrize(
    ("args", "tls"),
    [
        (["--ssl-keyfile", "/tls/key"], True),
        (["--ssl_certfile=/tls/crt"], True),
        (["--ssl-c", "/tls/crt"], False),  # of several flags: refused
        (["--ssl-keyfile", "", "--ssl-certfile="], False),  # as a chart writes it where no certificate is given
        (["--ssl-keyfile"], False),
        (["--ssl-ca-certs", "/tls/ca"], False),
        (["--enable-ssl-refresh"], False),
    ],
)
def test_a_server_answers_by_tls_when_it_is_given_a_key_or_a_certificate(args: list[str], *, tls: bool) -> None:
    assert command({"server": {"args": args}}).tls is tls


def test_the_port_of_the_sidecar_is_taken() -> None:
    (problem,) = command({"server": {"port": 9410}}).problems
    assert "spec.server.port: 9410 is the port of the container harvest" in problem
    assert command({"server": {"port": 9410}, "tuning": {"harvest": False}}).problems == ()


@pytest.mark.parametrize("args", [["--config", "/etc/vllm.yaml"], ["--config=/etc/vllm.yaml"]])
def test_a_file_of_arguments_decides_nothing_that_the_operator_must_know(args: list[str]) -> None:
    (problem,) = command({"server": {"args": args}}).problems
    assert "set spec.parallelism.tensor and spec.server.port" in problem
    known = command({"server": {"args": args, "port": 8000}, "parallelism": {"tensor": 8}})
    assert (known.gpus, known.problems) == (8, ())
    assert list(known.arguments) == [*args, "--tensor-parallel-size", "8", "--port", "8000"]


def test_a_size_that_only_a_file_says_is_asked_for() -> None:
    server = {"args": ["--config", "/etc/vllm.yaml", "-dpl", "2"], "port": 8000}
    (problem,) = command({"server": server, "parallelism": {"tensor": 1}}).problems
    assert "if /etc/vllm.yaml says --data-parallel-size, set spec.parallelism.data to it" in problem
    known = command({"server": server, "parallelism": {"tensor": 1, "data": 2}})
    assert (known.gpus, known.problems) == (2, ())


@pytest.mark.parametrize(
    "python",
    [
        ["python3", "-m", "vllm.entrypoints.cli.main", "serve"],
        ["numactl", "-m", "0", "python3", "-X", "faulthandler", "-um", "vllm.entrypoints.openai.api_server"],
        ["uv", "run", "vllm", "serve"],
    ],
)
def test_the_plan_is_made_with_the_flags_behind_whatever_starts_the_server(python: list[str]) -> None:
    wanted = {"parallelism": {"tensor": 8}, "server": {"command": [*python, "--tensor-parallel-size", "8", "-dpm=0"]}}
    assert command(wanted).arguments == ("--tensor-parallel-size", "8", "-dpm=0", "--port", "8000")
    assert command({"server": {"command": python}}).arguments == ("--tensor-parallel-size", "1", "--port", "8000")


@pytest.mark.parametrize(
    "program", [["python3", "-m", "my.launcher"], ["numactl", "-m", "0", "my-launcher"], ["sh", "-c", "my-launcher $0"]]
)
def test_flags_of_another_program_are_not_planned_with_but_what_they_say_of_sizes_is(program: list[str]) -> None:
    """vLLM's own parser, which is asked for the plan, refuses what it does not know."""
    started = [*program, "--warm-cache", "/data", "--tensor-parallel-size", "8"]
    found = command({"parallelism": {"tensor": 8}, "server": {"command": started}})
    assert found.arguments == ("--tensor-parallel-size", "8", "--port", "8000")
    assert found.argv == (*started, "org/model", "--port", "8000")


def test_flags_in_the_command_count_as_well() -> None:
    found = command({"server": {"command": ["vllm", "serve", "-dp", "4"]}})
    assert (found.gpus, found.problems) == (4, ())
    (problem,) = command({"server": {"command": ["vllm", "serve", "--tensor-parallel-size=8"]}}).problems
    assert "--tensor-parallel-size 8 must not differ from spec.parallelism.tensor 1" in problem
    wanted = {"parallelism": {"tensor": 8}, "server": {"command": ["vllm", "serve", "--tensor-parallel-size=8"]}}
    both = command(wanted)
    assert list(both.arguments) == ["--tensor-parallel-size=8", "--port", "8000"]
    assert both.argv == ("vllm", "serve", "--tensor-parallel-size=8", "org/model", "--port", "8000")


@pytest.mark.parametrize(
    ("last", "args", "problems"),
    [
        ([], [], 1),
        ([], ["--model", "org/other"], 1),
        (["--model"], [], 0),
        (["--model", "org/model"], [], 0),
        ([], ["--max-num-seqs", "8", "--model", "org/model"], 0),
        ([], ["--model=org/model"], 0),
        ([], ["--config", "/etc/with-the-model.yaml"], 0),
    ],
)
def test_the_server_as_a_module_of_python_is_given_its_model_by_a_flag(
    last: list[str], args: list[str], problems: int
) -> None:
    """It parses a bare name and serves vLLM's default model (`api_server.py` of 0.23.0 and 0.33.0)."""
    server = {"command": ["python3", "-m", "vllm.entrypoints.openai.api_server", *last], "args": args, "port": 8000}
    found = command({"server": server, "parallelism": {"tensor": 1}})
    assert len(found.problems) == problems
    assert all("spec.server.command: must end with --model" in problem for problem in found.problems)
    flags = [] if last == ["--model"] else last
    assert found.arguments == (*flags, *args, "--tensor-parallel-size", "1", "--port", "8000")


def test_a_command_that_ends_where_the_name_follows_has_no_flag_without_a_value() -> None:
    """vLLM would take the next flag for the model: its parser takes `vllm serve --model NAME`, too."""
    found = command({"server": {"command": ["vllm", "serve", "--max-num-seqs=8", "--model"]}})
    assert found.arguments[:2] == ("--max-num-seqs=8", "--tensor-parallel-size")
    assert found.argv[:5] == ("vllm", "serve", "--max-num-seqs=8", "--model", "org/model")
