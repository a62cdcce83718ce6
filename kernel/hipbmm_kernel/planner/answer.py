"""What the image answered, as a value and as JSON; the JSON comes from a child or a volume, so it is checked."""

import json
from typing import NamedTuple

FORMAT = 1
MAX_BYTES = 1 << 20
MAX_LINEARS = 512
"""Kinds of linears: the models with other sizes in each layer have about 320."""
MAX_TEXT = 400
MAX_NOTES = 20
MAX_SIZE = 2**31 - 1
HIPBMM = "AiterHipbMMPerTokenFp8ScaledMMLinearKernel"
"""vLLM's class of the kernel, 0.23.0 to 0.33.0."""


class AnswerInvalid(ValueError):  # noqa: N818 - like ConfigInvalid
    """A text that is no answer."""


class ImageLinear(NamedTuple):
    """Linears that are alike: `copies` modules of `n` weight rows and `k` weight columns on rank 0.

    `path` is the first one's full name, `kernel` the class that vLLM chose ("" when its method has no FP8 kernel),
    `reason` why it is not HIPBMM ("" when it is). `tower` says that it belongs to no language model, so that its M is
    not the number of tokens; `load_tokens` is the M of the one call that loading the weights makes, 0 without one.
    """

    path: str
    n: int
    k: int
    bias: bool
    copies: int
    kernel: str
    reason: str
    tower: bool
    load_tokens: int

    @property
    def hipbmm(self) -> bool:
        """Whether vLLM chose the HIPBMM kernel."""
        return self.kernel == HIPBMM


class Answer(NamedTuple):
    """The plan of one server by its own vLLM. Tokens are rising; `eager` are those that no captured graph covers."""

    vllm: str
    architecture: str
    quantisation: str
    tensor_parallel: int
    graph_mode: str
    runner: str
    linears: tuple[ImageLinear, ...]
    captured: tuple[int, ...]
    planned: tuple[int, ...]
    eager: tuple[int, ...]
    notes: tuple[str, ...] = ()


def encode(answer: Answer) -> bytes:
    """One canonical JSON object: equal answers give equal bytes."""
    document = answer._asdict() | {"format": FORMAT, "linears": [list(linear) for linear in answer.linears]}
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def decode(data: bytes) -> Answer:
    """The answer in a JSON text. AnswerInvalid says what is wrong with it."""
    if len(data) > MAX_BYTES:
        raise AnswerInvalid(f"an answer has at most {MAX_BYTES} bytes")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise AnswerInvalid(f"not JSON: {error}") from error
    if not isinstance(document, dict) or document.pop("format", None) != FORMAT:
        raise AnswerInvalid(f"not an answer of format {FORMAT}")
    if set(document) != set(Answer._fields):
        raise AnswerInvalid("its fields are not those of an answer")
    linears = _list(document, "linears")
    if len(linears) > MAX_LINEARS:
        raise AnswerInvalid(f"more than {MAX_LINEARS} linears")
    return Answer(
        vllm=_text(document["vllm"]),
        architecture=_text(document["architecture"]),
        quantisation=_text(document["quantisation"]),
        tensor_parallel=_count(document["tensor_parallel"], 1),
        graph_mode=_text(document["graph_mode"]),
        runner=_text(document["runner"]),
        linears=tuple(_linear(linear) for linear in linears),
        captured=_tokens(document, "captured"),
        planned=_tokens(document, "planned"),
        eager=_tokens(document, "eager"),
        notes=tuple(_text(note) for note in _list(document, "notes")[:MAX_NOTES]),
    )


def _linear(value: object) -> ImageLinear:
    if not isinstance(value, list) or len(value) != len(ImageLinear._fields):
        raise AnswerInvalid("a linear has other fields")
    path, n, k, bias, copies, kernel, reason, tower, load_tokens = value
    return ImageLinear(
        path=_text(path),
        n=_count(n, 1),
        k=_count(k, 1),
        bias=_flag(bias),
        copies=_count(copies, 1),
        kernel=_text(kernel),
        reason=_text(reason),
        tower=_flag(tower),
        load_tokens=_count(load_tokens, 0),
    )


def _tokens(document: dict[str, object], field: str) -> tuple[int, ...]:
    found = tuple(_count(value, 1) for value in _list(document, field))
    if list(found) != sorted(set(found)):
        raise AnswerInvalid(f"{field} do not rise")
    return found


def _list(document: dict[str, object], field: str) -> list[object]:
    value = document[field]
    if not isinstance(value, list):
        raise AnswerInvalid(f"{field} is no list")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise AnswerInvalid(f"not a text of at most {MAX_TEXT} characters")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise AnswerInvalid("not true or false")
    return value


def _count(value: object, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= MAX_SIZE:
        raise AnswerInvalid(f"not an integer from {least} to {MAX_SIZE}")
    return value
