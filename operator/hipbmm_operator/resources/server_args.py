"""The server's command line: what the operator adds unless the user gave it, and what the user's own flags mean."""

from collections.abc import Sequence
from dataclasses import dataclass

from hipbmm_operator.api.spec import Spec

_TENSOR = ("--tensor-parallel-size", "-tp")
_PIPELINE = ("--pipeline-parallel-size", "-pp")
_SERVED = ("--served-model-name",)
_PORT = ("--port",)


@dataclass(frozen=True, slots=True)
class Command:
    """The resolved command line of the server."""

    argv: tuple[str, ...]
    arguments: tuple[str, ...]
    tensor: int
    pipeline: int
    port: int
    problems: tuple[str, ...] = ()

    @property
    def gpus(self) -> int:
        """GPUs of one replica."""
        return self.tensor * self.pipeline


def given(arguments: Sequence[str], flags: Sequence[str]) -> str | None:
    """The last value of a flag, in both spellings (`--x 1`, `--x=1`); "" when the value is missing, None without it."""
    found: str | None = None
    for index, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        # vLLM accepts underscores for dashes in long flags.
        name = name.replace("_", "-") if name.startswith("--") else name
        if name in flags:
            following = arguments[index + 1] if index + 1 < len(arguments) else ""
            found = value if equals else following
    return found


def resolve(spec: Spec) -> Command:
    """The command line of a spec. A flag that contradicts a field is a problem; the flag is what the server gets."""
    args = list(spec.server.args)
    problems: list[str] = []
    tensor = _number(args, _TENSOR, spec.parallelism.tensor, "spec.parallelism.tensor", problems)
    pipeline = _number(args, _PIPELINE, spec.parallelism.pipeline, "spec.parallelism.pipeline", problems)
    port = _number(args, _PORT, spec.server.port, "spec.server.port", problems)
    if given(args, _TENSOR) is None:
        args += [_TENSOR[0], str(tensor)]
    if given(args, _PIPELINE) is None and pipeline > 1:
        args += [_PIPELINE[0], str(pipeline)]
    if given(args, _SERVED) is None and spec.model.served_name:
        args += [_SERVED[0], spec.model.served_name]
    if given(args, _PORT) is None:
        args += [_PORT[0], str(port)]
    return Command(
        argv=(*spec.server.command, spec.model.name, *args),
        arguments=tuple(args),
        tensor=tensor,
        pipeline=pipeline,
        port=port,
        problems=tuple(problems),
    )


def _number(args: Sequence[str], flags: Sequence[str], field: int, name: str, problems: list[str]) -> int:
    text = given(args, flags)
    if text is None:
        return field
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= 65535):  # noqa: PLR2004  # largest port
        problems.append(f"spec.server.args: {flags[0]} must be a positive number, not {text!r}")
        return field
    if int(text) != field:
        problems.append(f"spec.server.args: {flags[0]} {text} must not differ from {name} {field}")
    return int(text)
