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
    ("args", "told"),
    [
        (["--tensor-parallel-size", "8"], "--tensor-parallel-size 8"),
        (["-tp=8"], "--tensor-parallel-size 8"),
        (["--port", "x"], "'x'"),
        (["--port"], "''"),
        (["--tensor-parallel-size", "-4"], "'-4'"),
    ],
)
def test_arguments_that_contradict_a_field_are_told(args: list[str], told: str) -> None:
    (problem,) = command({"server": {"args": args}}).problems
    assert told in problem


def test_arguments_are_passed_as_they_are() -> None:
    hostile = ["; rm -rf /", "$(id)", "`id`", "--host", "::"]
    assert list(command({"server": {"args": hostile}}).argv[3:8]) == hostile
