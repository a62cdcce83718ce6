"""The server's command line, read by the image's own parser, and the engine's configuration that vLLM makes of it.

In the child only. `create_engine_config` has had the same signature from 0.23.0 to 0.33.0.
"""

import contextlib
import errno
import importlib
from collections.abc import Sequence
from typing import Any

PARSERS = (
    "vllm.entrypoints.common.cli_args",
    "vllm.entrypoints.launchers.cli_args",
    "vllm.entrypoints.openai.cli_args",
    "vllm.entrypoints.cli.serve",
)
"""Where `make_arg_parser` is: from 0.33, in 0.29 to 0.32, up to 0.28. The last one imports it in each of them, with the
whole server, so it is asked where vLLM has moved it again."""

_OFFLINE = (ConnectionError, TimeoutError)
_OF_THIS_MOMENT = (errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENETUNREACH, errno.EHOSTUNREACH)
"""Errors of a network and of this container's disk: the server need not meet them."""


class Refused(Exception):  # noqa: N818 - what the image did
    """vLLM does not take this command line or this model; the message is its own."""


def config(arguments: Sequence[str], notes: list[str]) -> Any:
    """The configuration of the engine that `vllm serve` with these arguments would start. Refused when it would not."""
    engine = importlib.import_module("vllm.engine.arg_utils")
    context = importlib.import_module("vllm.usage.usage_lib").UsageContext.OPENAI_API_SERVER
    own = parser()  # whoever leaves Python as a module is imported refuses no command line
    try:
        parsed = _parsed(own, list(arguments), notes)
        if getattr(parsed, "model_tag", None) is not None:
            parsed.model = parsed.model_tag
        return engine.AsyncEngineArgs.from_cli_args(parsed).create_engine_config(usage_context=context)
    except SystemExit as error:
        raise Refused("vLLM's parser refuses the command line") from error
    except (ValueError, TypeError, LookupError, NotImplementedError, OSError) as error:
        if isinstance(error, _OFFLINE) or getattr(error, "errno", None) in _OF_THIS_MOMENT:
            raise
        # What the server itself would say and end with; pydantic's ValidationError is a ValueError. An assertion or a
        # RuntimeError may be a failure of this process itself, and is no refusal.
        raise Refused(f"{type(error).__name__}: {_words(error)}") from error


def parser() -> Any | None:
    """The parser of `vllm serve`, whose abbreviations depend on all of its flags; None where it is not found."""
    flexible = importlib.import_module("vllm.utils.argparse_utils").FlexibleArgumentParser
    for name in PARSERS:
        with contextlib.suppress(ImportError):
            return importlib.import_module(name).make_arg_parser(flexible())
    return None


def _parsed(own: Any | None, arguments: list[str], notes: list[str]) -> Any:
    """The arguments read by the parser of `vllm serve`; `--model X` is moved to the front by vLLM itself."""
    if own is not None:
        return own.parse_args(arguments)
    notes.append("vllm serve's own parser was not found: its engine's parser read the command line")
    flexible = importlib.import_module("vllm.utils.argparse_utils").FlexibleArgumentParser
    engines = importlib.import_module("vllm.engine.arg_utils").AsyncEngineArgs.add_cli_args(flexible())
    engines.add_argument("model_tag", nargs="?")  # the model without a flag, as `vllm serve` takes it
    return engines.parse_known_args(arguments)[0]


def _words(error: BaseException) -> str:
    """The first lines of a message: pydantic's own first one says only how many errors there are."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (" ".join(lines[:2]) or "no message")[:300]
