"""The server's command line, as far as it decides which GEMMs run.

It is the user's own line for `vllm serve`, so nothing here refuses it: what cannot be read is named in `unread`, and
vLLM itself will say what is wrong with it. Spellings are those of vLLM's FlexibleArgumentParser: `--a-b v`, `--a_b=v`,
unambiguous beginnings of long flags, `-O0`, `-cc '{...}'`; the last one wins, a whole JSON argument, too. Dotted keys
(`-cc.cudagraph_mode NONE`, `-cc.cudagraph_capture_sizes+ 1,2`) are one JSON argument behind all others, one for each
spelling of the flag.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from hipbmm_kernel.argv.known_flags import INTEGERS, JSON, LISTS, SWITCHES, TEXTS, is_flag
from hipbmm_kernel.linear.eligibility import HIPBMM
from hipbmm_kernel.planner.flag_values import (
    MAX_ARGUMENT,
    count_of,
    counts_of,
    empty_inputs,
    integer,
    json_value,
    pairs_of,
    text_of,
    texts_of,
    weight_of,
)
from hipbmm_kernel.planner.vllm_version import BATCH_INVARIANT, Version

NONE, PIECEWISE, FULL = "NONE", "PIECEWISE", "FULL"
FULL_DECODE_ONLY, FULL_AND_PIECEWISE = "FULL_DECODE_ONLY", "FULL_AND_PIECEWISE"


class ServerFlags(NamedTuple):
    """What a command line says; None means vLLM's own default.

    `capture_sizes` are the user's graph sizes, `graph_mode` is vLLM's name: NONE captures nothing, FULL_DECODE_ONLY no
    batches with a prefill, PIECEWISE no whole batch, and FULL replays the same graphs for batches with and without a
    prefill. `draft_model` says that the `drafter`, a method or a model, has linears, `first_runner` that the
    environment chooses the V1 runner (False: V2, None: the version decides), `sequence_parallel` that sizes must be
    multiples of the ranks. `encoder_mode` is that of a vision tower, `no_input` holds the kinds of input that no
    request may have.
    `online_linear` and `online_targets` are those of `--quantization-config`; `unread` names the arguments that could
    not be read.
    """

    tensor_parallel: int | None = None
    data_parallel: int | None = None
    expert_parallel: bool = False
    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None
    max_model_len: int | None = None
    max_capture_size: int | None = None
    capture_sizes: tuple[int, ...] | None = None
    compile_sizes: tuple[int, ...] = ()
    speculative_tokens: int = 0
    drafter: str = ""
    draft_model: bool = False
    first_runner: bool | None = None
    graph_mode: str = FULL_AND_PIECEWISE
    sequence_parallel: bool = False
    performance_mode: str = ""
    quantization: str = ""
    online_linear: str = ""
    online_targets: tuple[tuple[str, str], ...] = ()
    ignore: tuple[str, ...] = ()
    encoder_mode: str = ""
    language_only: bool = False
    no_input: frozenset[str] = frozenset()
    dtype: str = "auto"
    linear_backend: str = "auto"
    revision: str = ""
    hf_config_path: str = ""
    unread: tuple[str, ...] = ()

    @classmethod
    def from_argv(cls, argv: Sequence[str]) -> "ServerFlags":
        """Read the arguments of `vllm serve`, with or without the model's name among them."""
        return _Reader(argv).flags()


def in_environment(flags: ServerFlags, env: Mapping[str, str]) -> ServerFlags:
    """The flags of a server with this environment. VLLM_USE_V2_MODEL_RUNNER is an integer, or not set."""
    chosen = _switch(env.get("VLLM_USE_V2_MODEL_RUNNER", ""))
    named = [name for name in _ENV_NOT_READ if env.get(name, "0") not in ("", "0", *_IDLE.get(name, ()))]
    unread = tuple(f"{name}: {_ENV_NOT_READ[name]}" for name in named)
    first = flags.first_runner if chosen is None else not chosen
    return flags._replace(first_runner=first, unread=flags.unread + unread)


def disabled_by(env: Mapping[str, str], version: Version) -> str:
    """Why this vLLM leaves the HIPBMM kernel out in this environment, "" when it does not."""
    if HIPBMM in env.get("VLLM_DISABLED_KERNELS", "").split(","):
        return f"VLLM_DISABLED_KERNELS names {HIPBMM}"
    if version >= BATCH_INVARIANT and _switch(env.get("VLLM_BATCH_INVARIANT", "")):
        return "VLLM_BATCH_INVARIANT leaves the HIPBMM kernel out"
    return ""


def _switch(text: str) -> bool | None:
    """A variable that vLLM reads as an integer, 0 or not; None where that is an error, so that the server ends."""
    try:
        return bool(int(text))
    except ValueError:
        return None


_NOT_READ = {
    "config": "what that file alone says is not in the plan",
    "hf-overrides": "its fields are not in the plan",
    "config-format": "config.json is planned",
    "model-impl": "vLLM's own classes are planned",
    "mm-encoder-only": "the language model is planned",
    "model-class-overrides": "vLLM's own classes are planned",
    "dcp-q-replicate": "latent attention is planned as without it",
}
_IDLE = {
    "config-format": ("auto", "hf"),
    "model-impl": ("auto", "vllm"),
    "hf-overrides": ("{}",),
    "VLLM_DP_SIZE": ("1",),
    "VLLM_ROCM_USE_AITER_FUSION_SHARED_EXPERTS": ("False", "false"),
}
"""Values of theirs with which the plan is right."""
_JSON_NOT_READ = {
    ("compilation", "splitting_ops"): "graphs are planned as without it",
    ("speculative", "num_speculative_tokens_per_batch_size"): "each batch is planned with the most tokens",
    ("speculative", "parallel_drafting"): "the runner is planned as without it",
    ("speculative", "use_heterogeneous_vocab"): "the runner is planned as without it",
}
_DEFAULTS = ("none", "false", "0")
"""What says of a field that is not read the same as its absence: pydantic takes a truth value as a text, too."""
_ENV_NOT_READ = {
    "TORCH_COMPILE_DISABLE": "graphs are planned as if models were compiled",
    "VLLM_USE_BREAKABLE_CUDAGRAPH": "graphs are planned as without it",
    "VLLM_DP_SIZE": "--data-parallel-size is planned",
    "VLLM_MLA_DISABLE": "latent attention is planned",
    "VLLM_DCP_Q_REPLICATE": "latent attention is planned as without it",
    "VLLM_ROCM_USE_AITER_FUSION_SHARED_EXPERTS": "shared experts are planned as linears of their own",
}
"""Flags and variables that can change the plan and that this planner does not know; the image's own vLLM does."""
_RUNNER = (
    *("convert", "runner", "enable-dbo", "ubatch-size", "enable-prompt-embeds", "logits-processors", "logprobs-mode"),
    *("prefill-context-parallel-size", "pcp", "kv-sharing-fast-prefill", "enable-return-routed-experts"),
    *("ec-transfer-config", "enable-elastic-ep"),
)
"""Flags that choose the V1 runner in one version or another, or none that drafts: the plan differs with speculation."""
_SPLITTING = ("enable-dbo", "ubatch-size")
"""Flags with which batches run in parts, where there is more than one rank of data parallelism."""
_OFF = (*(f"no-{name}" for name in SWITCHES), "disable-expert-parallel")
_KNOWN = ("model", *INTEGERS, *LISTS, *TEXTS, *SWITCHES, *_OFF, *JSON, *_NOT_READ, *_RUNNER)
_LEVELS: dict[object, str] = {0: NONE, 1: PIECEWISE}
_GRAPH_MODES = (NONE, PIECEWISE, FULL)
_COMPILES = (3, "3", "VLLM_COMPILE")
_STOCK = ("1", "STOCK_TORCH_COMPILE")
_UNCOMPILED = {PIECEWISE: NONE, FULL_AND_PIECEWISE: FULL_DECODE_ONLY}
"""Graphs by optimisation level and by number, modes in which pieces are compiled and a model is, and graphs without."""
_TRUE = ("true", "1", "t", "yes", "y", "on")
"""What pydantic takes for a truth value, in any case."""
_PARALLEL_PASSES = ("enable_sp", "enable_sequence_parallelism", "fuse_gemm_comms")


class _Reader:
    """The values read so far, by the names on the right of the tables above."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._values: dict[str, object] = {}
        self._json: dict[str, dict[str, object]] = {name: {} for name in JSON.values()}
        self._dotted: dict[tuple[str, str], dict[str, object]] = {}
        self._unread: list[str] = []
        self._runner: list[tuple[str, str]] = []
        at = 0
        while at < len(argv):
            name, value = _split(argv[at])
            at += 1
            if name is not None:
                following = argv[at:] if value is None else [value]
                used = self._take(*_unabbreviated(name, argv[at - 1]), following, inline=value is not None)
                at += used if value is None else 0
        for (_, flag), values in self._dotted.items():
            self._json[JSON[flag]] = values

    def _take(self, spelling: str, name: str, following: Sequence[str], *, inline: bool) -> int:
        """Take one flag; how many of the arguments after it are its values."""
        base, _, path = name.partition(".")
        values = (
            list(following[:1])
            if inline
            else list(itertools.takewhile(lambda text: not is_flag(text), following))[: None if name in LISTS else 1]
        )
        shown = f"{'-' if len(name) <= len('tp') else '--'}{name} {' '.join(values)[:80]}".rstrip()
        if base in JSON:
            self._take_json((spelling, base), path, values)
        elif name == "O" and values and integer(values[0]) is None:
            self._take_json(("O", "cc"), "", values)
        elif name in INTEGERS or name in LISTS:
            numbers = [integer(part) for text in values for part in text.replace(",", " ").split()]
            if not numbers or None in numbers or (name in INTEGERS and len(numbers) > 1):
                self._unread.append(shown)
            else:
                self._values[INTEGERS.get(name) or LISTS[name]] = numbers[0] if name in INTEGERS else tuple(numbers)
        elif name in TEXTS:
            self._values[TEXTS[name]] = values[0] if values else self._values.get(TEXTS[name])
        elif base in _NOT_READ:
            if " ".join(values) not in _IDLE.get(name, ()):
                self._unread.append(f"{shown}: {_NOT_READ[base]}")
        elif base in _RUNNER:
            self._runner.append((base, shown))
        else:
            # 0.33 has --disable-x beside --no-enable-x, which older versions refuse. A value is refused by all.
            positive = f"enable-{name[len('disable-') :]}" if name.startswith("disable-") else name.removeprefix("no-")
            self._values[SWITCHES.get(positive, "")] = positive == name
            return 0
        return len(values)

    def _take_json(self, flag: tuple[str, str], path: str, values: Sequence[str]) -> None:
        """Take a JSON argument, or one key of it: `-cc.pass_config.enable_sp true`; a flag is its spelling and name."""
        field = JSON[flag[1]]
        if not values:
            self._unread.append(f"{field}: no value")
        elif path:
            self._take_key(flag, path, values[0])
        else:
            value = json_value(values[0])
            if isinstance(value, int) and field == "compilation":
                value = {"level": value}
            if isinstance(value, dict) or value is None:
                self._json[field] = value or {}
            else:
                self._unread.append(f"{field}: {values[0][:80]}")

    def _take_key(self, flag: tuple[str, str], path: str, text: str) -> None:
        value: object = text.split(",") if path.endswith("+") else json_value(text)
        if value == text:
            number = integer(text)
            value = text if number is None else number
        holder = self._dotted.setdefault(flag, {})
        *parents, last = path.removesuffix("+").split(".")
        for parent in parents:
            inner = holder.setdefault(parent, {})
            if not isinstance(inner, dict):
                self._unread.append(f"{JSON[flag[1]]}.{path}")
                return
            holder = inner
        before = holder.get(last)
        holder[last] = [*before, *value] if isinstance(before, list) and isinstance(value, list) else value

    def flags(self) -> ServerFlags:
        """The result of everything read."""
        values = self._values
        compilation = self._json["compilation"]
        # 0.33 takes both signs in these keys; older versions refuse one of them.
        speculative = {name.replace("-", "_"): value for name, value in self._json["speculative"].items()}
        online = self._json["quantization_config"]
        capture = values.get("capture_sizes")
        passes = compilation.get("pass_config")
        passes = passes if isinstance(passes, dict) else {}
        graphs = self._graph_mode(compilation)
        method = text_of(values.get("spec_method", speculative.get("method")))
        model = text_of(values.get("spec_model", speculative.get("model")))
        drafted = values.get("spec_tokens", speculative.get("num_speculative_tokens"))
        return ServerFlags(
            tensor_parallel=count_of(values.get("tensor_parallel")),
            data_parallel=count_of(values.get("data_parallel")),
            expert_parallel=values.get("expert_parallel") is True,
            max_num_seqs=count_of(values.get("max_num_seqs")),
            max_num_batched_tokens=count_of(values.get("max_num_batched_tokens")),
            max_model_len=count_of(integer(text_of(values.get("max_model_len")))),
            max_capture_size=count_of(values.get("max_capture_size", compilation.get("max_cudagraph_capture_size"))),
            capture_sizes=counts_of(capture if capture is not None else compilation.get("cudagraph_capture_sizes")),
            compile_sizes=counts_of(compilation.get("compile_sizes")) or (),
            speculative_tokens=count_of(drafted) or 0,
            drafter=method or model,
            draft_model="mtp" in method or model not in ("", "ngram", "[ngram]"),
            graph_mode=graphs,
            # Without a threshold of the user's own vLLM has none for this GPU, and leaves it out.
            sequence_parallel=any(str(passes.get(name)).lower() in _TRUE for name in _PARALLEL_PASSES)
            and count_of(passes.get("sp_min_token_num")) is not None,
            performance_mode=text_of(values.get("performance_mode")),
            quantization=text_of(values.get("quantization")),
            online_linear=weight_of(online.get("linear")),
            online_targets=pairs_of(online.get("targets")),
            ignore=texts_of(online.get("ignore")),
            encoder_mode=text_of(values.get("encoder_mode")),
            language_only=values.get("language_only") is True,
            no_input=empty_inputs(self._json["limits"]),
            dtype=text_of(values.get("dtype")) or "auto",
            linear_backend=self._backend().lower(),
            revision=text_of(values.get("revision")),
            hf_config_path=text_of(values.get("hf_config_path")),
            unread=tuple(self._all_unread(speculative, drafted, graphs)),
        )

    def _all_unread(self, speculative: dict[str, object], drafted: object, graphs: str) -> Iterator[str]:
        yield from self._unread
        compilation = self._json["compilation"]
        for (field, name), words in _JSON_NOT_READ.items():
            value = (compilation if field == "compilation" else speculative).get(name)
            if str(value).lower() not in _DEFAULTS:
                yield f"{field}.{name}: {words}"
        if graphs == FULL and str(compilation.get("mode")).upper() in _STOCK:
            yield "compilation.mode 1: graphs of whole batches are planned, which vLLM 0.32 leaves out"
        if (count_of(self._values.get("data_parallel")) or 1) > 1:
            yield from (f"{shown}: batches are planned whole" for base, shown in self._runner if base in _SPLITTING)
        if count_of(drafted):
            yield from (f"{shown}: speculation is planned as without it" for _, shown in self._runner)
        elif drafted is None and (speculative or "spec_method" in self._values):
            yield "speculative: no number of tokens, planned without any"

    def _backend(self) -> str:
        """The backend of FP8 linears: the one for these alone, else that of either flag whose value is not `auto`."""
        kernel = self._json["kernel"]
        flag = text_of(self._values.get("linear_backend"))
        of_all = flag if flag.lower() != "auto" else ""
        own = dict(pairs_of(kernel.get("linear_backend_per_quant"))).get("fp8_w8a8")  # what HIPBMM is for (0.33)
        return own or of_all or text_of(kernel.get("linear_backend")) or "auto"

    def _graph_mode(self, compilation: dict[str, object]) -> str:
        """The name of vLLM's graph mode: the user's or that of the optimisation level, less what needs compilation."""
        if self._values.get("enforce_eager") is True or compilation.get("use_cudagraph") is False:
            return NONE
        level, named = self._values.get("optimization_level"), compilation.get("cudagraph_mode")
        mode = _LEVELS.get(level, FULL_AND_PIECEWISE) if named is None else text_of(named).upper()
        if isinstance(named, int):
            mode = _GRAPH_MODES[named] if 0 <= named < len(_GRAPH_MODES) else ""
        compiled = compilation.get("mode")
        compiled = compiled.upper() if isinstance(compiled, str) else compiled
        compiles = level != 0 if compiled is None else compiled in _COMPILES
        return mode if compiles else _UNCOMPILED.get(mode, mode)


def _unabbreviated(name: str, argument: str) -> tuple[str, str]:
    """The flag's spelling, and the one known flag that it is the beginning of, as argparse completes it."""
    base, dot, path = name.partition(".")
    most = MAX_ARGUMENT if argument.startswith("--") else len("tp")
    found = [known for known in _KNOWN if known.startswith(base) and len(known) <= most]
    known = base not in _KNOWN and len(found) == 1
    return base, f"{found[0]}{dot}{path}" if known else name


def _split(argument: str) -> tuple[str | None, str | None]:
    """The flag's name without dashes and with '-' for '_', and the value after '='; None for what is no flag."""
    if not is_flag(argument):
        return None, None
    if argument[:2] in ("-O", "-q") and argument[2:3] not in ("", ".", "="):
        return argument[1], argument[2:]
    text = argument.lstrip("-")
    head, equals, value = text.partition("=")
    base, dot, path = head.partition(".")
    name = f"{base.replace('_', '-')}{dot}{path}"
    if name.startswith("O."):
        name = f"cc.{path}"
    return name, (value if equals else None)
