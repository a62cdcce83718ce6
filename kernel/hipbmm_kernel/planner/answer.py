"""What the image answered, as a value, as a plan, and as JSON, which comes from a child or a volume and is checked."""

from typing import Any, NamedTuple, TypeVar

from hipbmm_kernel.linear import eligibility
from hipbmm_kernel.planner import plan
from hipbmm_kernel.planner.plan import Options, Plan, PlannedLinear
from hipbmm_kernel.planner.shapes.module import short_name
from hipbmm_kernel.planner.tokens import Tokens, overridden
from hipbmm_kernel.rows.gemm import Linear
from hipbmm_kernel.system import json_text
from hipbmm_kernel.system.digest import canonical

T = TypeVar("T")

FORMAT = 2
MAX_BYTES = 1 << 20
MAX_LINEARS = 512
"""Kinds of linears: the models with other sizes in each layer have about 320."""
MAX_TEXT = 400
MAX_NOTES = 20
MAX_SIZE = 2**31 - 1
HIPBMM = eligibility.HIPBMM
_PATCHES = "outside the language model: its M is not the number of tokens"


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
    linears: tuple[ImageLinear, ...]
    captured: tuple[int, ...]
    planned: tuple[int, ...]
    eager: tuple[int, ...]
    notes: tuple[str, ...] = ()


def encode(answer: Answer) -> bytes:
    """One canonical JSON object: equal answers give equal bytes."""
    document = answer._asdict() | {"format": FORMAT, "linears": [list(linear) for linear in answer.linears]}
    return canonical(document)


def decode(data: bytes) -> Answer:
    """The answer in a JSON text. AnswerInvalid says what is wrong with it."""
    if len(data) > MAX_BYTES:
        raise AnswerInvalid(f"an answer has at most {MAX_BYTES} bytes")
    try:
        document = json_text.parsed(data)
    except ValueError as error:
        raise AnswerInvalid(f"not JSON: {error}") from error
    if not isinstance(document, dict) or document.pop("format", None) != FORMAT:
        raise AnswerInvalid(f"not an answer of format {FORMAT}")
    if set(document) != set(Answer._fields):
        raise AnswerInvalid("its fields are not those of an answer")
    lists = {
        field: _checked(field, list, document[field]) for field in ("linears", "captured", "planned", "eager", "notes")
    }
    if len(lists["linears"]) > MAX_LINEARS:
        raise AnswerInvalid(f"more than {MAX_LINEARS} linears")
    plain: dict[str, Any] = {
        field: _checked(field, str, text) for field, text in document.items() if field not in lists
    }
    tokens: dict[str, Any] = {field: _tokens(field, lists[field]) for field in ("captured", "planned", "eager")}
    notes = tuple(_checked("notes", str, note) for note in lists["notes"][:MAX_NOTES])
    return Answer(**plain, **tokens, linears=tuple(map(_linear, lists["linears"])), notes=notes)


def _linear(value: object) -> ImageLinear:
    if not isinstance(value, list) or len(value) != len(ImageLinear._fields):
        raise AnswerInvalid("a linear has other fields")
    pairs = zip(ImageLinear.__annotations__.items(), value, strict=True)
    return ImageLinear(*(_checked(field, kind, item) for (field, kind), item in pairs))


def _tokens(field: str, values: list[object]) -> tuple[int, ...]:
    found = tuple(_checked(field, int, value) for value in values)
    if list(found) != sorted(set(found)):
        raise AnswerInvalid(f"{field} do not rise")
    return found


def _checked(field: str, kind: type[T], value: object) -> T:
    """A value of exactly this type and of a sane size: texts are short, numbers positive (`load_tokens` may be 0)."""
    if type(value) is not kind:
        raise AnswerInvalid(f"{field} holds no {kind.__name__}")
    if isinstance(value, str) and len(value) > MAX_TEXT:
        raise AnswerInvalid(f"{field} has more than {MAX_TEXT} characters")
    if kind is int and not (field != "load_tokens") <= value <= MAX_SIZE:  # type: ignore[operator] # it is an int
        raise AnswerInvalid(f"{field} is out of range")
    return value


def plan_of(found: Answer, options: Options) -> Plan:
    """The plan of an answer, with the linears and tokens that the options name beside or instead of it."""
    tokens = Tokens(found.captured, found.planned, frozenset(found.eager))
    made = Plan(
        found.architecture,
        plan.IMAGE,
        linears=tuple(map(_planned, found.linears)) + tuple(map(plan.explicit, options.linears)),
        tokens=overridden(tokens, options.tokens) if options.tokens else tokens,
        left_out=(("what vLLM runs outside its linear layers", "experts, embeddings and lm_head"),),
        warnings=found.notes,
        quantisation=found.quantisation,
    )
    return plan.finished(made, options, missing_config=False)


def _planned(found: ImageLinear) -> PlannedLinear:
    """A linear with the reason of its own vLLM, and with AITER's assertion, which vLLM does not ask."""
    linear = Linear(found.n, found.k, found.bias, short_name(found.path), found.copies)
    if not found.hipbmm:
        return PlannedLinear(linear, found.reason or "vLLM chose another kernel")
    fatal = eligibility.shuffle_reason(found.n, found.k) or ""
    return PlannedLinear(linear, fatal or (_PATCHES if found.tower else ""), fatal, found.load_tokens)
