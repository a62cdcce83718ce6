"""`plan`: which problems a model has, from its config.json, the parallelism and the server's flags."""

from argparse import Namespace
from collections.abc import Sequence
from typing import IO

from hipbmm_kernel.cli import command_line
from hipbmm_kernel.cli.command_line import Answer
from hipbmm_kernel.contract import settings
from hipbmm_kernel.planner import cost, model_config, plan_text, vllm_version
from hipbmm_kernel.planner import plan as plans
from hipbmm_kernel.planner.model_config import ConfigInvalid
from hipbmm_kernel.planner.server_flags import ServerFlags
from hipbmm_kernel.pod import pod_plan
from hipbmm_kernel.rows.gemm import MAX_M
from hipbmm_kernel.system.volume import Volume, describe, read_file

_MOST = 2**31 - 1
_OF_A_SERVER = (
    *("tensor_parallel_size", "data_parallel_size", "enable_expert_parallel", "max_num_seqs", "performance_mode"),
    *("max_num_batched_tokens", "max_cudagraph_capture_size", "cudagraph_capture_sizes", "num_speculative_tokens"),
    *("enforce_eager", "quantization", "dtype"),
)


def plan_command(argv: Sequence[str], stdout: IO[str], stderr: IO[str]) -> int:
    """Print the plan. 0 with a plan, 1 when the config cannot be planned, 2 for wrong usage."""
    return command_line.run(_parser(), argv, stdout, stderr, _plan)


def _plan(arguments: Namespace) -> Answer:
    try:
        options = _options(arguments)
    except settings.SettingsError as error:
        raise command_line.UsageError(f"plan: {error}") from error
    try:
        plan = pod_plan.build_in_time(_config(arguments.config), options)
    except ConfigInvalid as error:
        document = {"reason": "ConfigInvalid", **vars(error), "message": str(error)}
        return Answer(document, "", (f"ConfigInvalid: {error}",), wrong=True)
    plan = plan._replace(warnings=vllm_version.doubts(arguments.vllm_version) + plan.warnings)
    return Answer(plan_text.document(plan), plan_text.text(plan))


def _parser() -> command_line.Parser:
    number = command_line.whole(1, _MOST)
    parser = command_line.Parser("plan", "Print the problems of a model; no GPU is needed.")
    add = parser.add_argument
    add("--config", metavar="FILE", help="the model's config.json")
    add("--tensor-parallel-size", "-tp", type=command_line.whole(1, plans.MAX_TENSOR_PARALLEL), metavar="T")
    add("--data-parallel-size", "-dp", type=number, metavar="D")
    add("--enable-expert-parallel", action="store_true")
    add("--vllm-version", default=str(vllm_version.NEWEST), metavar="V", help=f"default {vllm_version.NEWEST}")
    add("--max-num-seqs", type=number, metavar="S")
    add("--max-num-batched-tokens", type=number, metavar="B")
    add("--max-cudagraph-capture-size", type=number, metavar="C")
    add("--cudagraph-capture-sizes", type=number, nargs="+", metavar="M")
    add("--num-speculative-tokens", type=command_line.whole(0, _MOST), metavar="Q")
    add("--performance-mode", metavar="MODE")
    add("--enforce-eager", action="store_true")
    add("--quantization", "-q", metavar="METHOD", help="online quantisation, such as fp8_per_channel")
    add("--dtype", metavar="TYPE")
    add(
        "--server-args",
        metavar="JSON",
        default="",
        help="arguments of `vllm serve`; the flags above win",
    )
    add("--linears", metavar="JSON", default="", help='explicit linears: [{"n": 10240, "k": 8192, "bias": false}]')
    add("--tokens", metavar="JSON", default="", help="a JSON list of M instead of vLLM's capture sizes")
    add("--product", choices=sorted(cost.PEAKS), default=cost.DEFAULT_PRODUCT, help="the GPU of the estimate")
    return parser


def _options(arguments: Namespace) -> plans.Options:
    if not vllm_version.is_number(arguments.vllm_version):
        raise command_line.UsageError(
            f"plan: --vllm-version: {arguments.vllm_version[:40]!r}: must be a release like 0.33.0"
        )
    linears = settings.parse_linears("--linears", arguments.linears)
    if arguments.config is None and not linears:
        raise command_line.UsageError("plan: --config FILE or --linears JSON is needed")
    flags = _flags(arguments)
    return plans.Options(
        tensor_parallel=flags.tensor_parallel or 1,
        vllm=vllm_version.parse(arguments.vllm_version) or vllm_version.NEWEST,
        flags=flags,
        linears=linears,
        tokens=settings.parse_tokens("--tokens", arguments.tokens, MAX_M),
        product=arguments.product,
    )


def _flags(arguments: Namespace) -> ServerFlags:
    """The flags of `--server-args`, then those of this command, which have vLLM's names."""
    argv = settings.parse_arguments("--server-args", arguments.server_args)
    for name, value in vars(arguments).items():
        if name in _OF_A_SERVER and value is not None and value is not False:  # 0 is a value
            values = value if isinstance(value, list) else [] if value is True else [value]
            argv = (*argv, f"--{name.replace('_', '-')}", *map(str, values))
    return ServerFlags.from_argv(argv)


def _config(path: str | None) -> bytes | None:
    """The bytes of config.json. ConfigInvalid when it is not a readable file of a sane size."""
    if path is None:
        return None
    try:
        return read_file(Volume(), path, model_config.MAX_BYTES, follow=True)
    except (OSError, ValueError) as error:
        raise ConfigInvalid("config.json", path, f"cannot be read: {describe(error)}") from error
