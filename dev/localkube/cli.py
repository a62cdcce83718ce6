"""The command line."""

import argparse
import json
import sys
from collections.abc import Sequence

from localkube import builder, lifecycle, modules, record, status
from localkube.console import Console
from localkube.errors import LocalkubeError, UsageError
from localkube.lifecycle import Wish
from localkube.paths import Layout

_DEFAULT_NAME = "default"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 fine, 1 something is wrong, 2 wrong usage."""
    options = _parser().parse_args(arguments)
    console = Console()
    try:
        return int(options.run(options, console))
    except UsageError as error:
        console.line(f"localkube: {error}")
        return 2
    except LocalkubeError as error:
        console.line(f"localkube: {error}")
        return 1
    except KeyboardInterrupt:
        console.line("localkube: interrupted")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="localkube", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    named = argparse.ArgumentParser(add_help=False)
    named.add_argument("--name", default=_DEFAULT_NAME, help="instance (default: %(default)s)")

    up = commands.add_parser("up", parents=[named], help="make an instance run")
    up.add_argument("--profile", choices=record.PROFILES, help="node needs root; default: control-plane")
    up.add_argument("--kubernetes", choices=modules.kubernetes_minors(), help="default: the newest")
    up.set_defaults(run=_up)

    down = commands.add_parser("down", parents=[named], help="stop an instance and remove it")
    down.add_argument("--keep", action="store_true", help="keep its data for the next `up`")
    down.set_defaults(run=_down)

    show = commands.add_parser("status", parents=[named], help="what runs; exit code 1 when it is not ready")
    show.add_argument("-o", "--output", choices=("text", "json"), default="text")
    show.set_defaults(run=_status)

    config = commands.add_parser("kubeconfig", parents=[named], help="print the path of the kubeconfig")
    config.set_defaults(run=_kubeconfig)

    build = commands.add_parser("build", help="build binaries into the cache")
    build.add_argument("modules", nargs="*", metavar="MODULE", help=f"of {', '.join(modules.names())}")
    build.set_defaults(run=_build)

    tool = commands.add_parser("tool", help="print the path of a binary, built when missing")
    tool.add_argument("tool", metavar="TOOL", help="kubectl, helm, ctr, kwok, kubeconform, kube-score, ...")
    tool.set_defaults(run=_tool)
    return parser


def _write(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _up(options: argparse.Namespace, console: Console) -> int:
    lifecycle.up(Layout.of(options.name), Wish(options.profile, options.kubernetes), console)
    return 0


def _down(options: argparse.Namespace, console: Console) -> int:
    lifecycle.down(Layout.of(options.name), console, keep=options.keep)
    return 0


def _status(options: argparse.Namespace, _console: Console) -> int:
    state = status.of(Layout.of(options.name))
    _write(json.dumps(state, indent=2) if options.output == "json" else status.text(state))
    return 0 if state["state"] == "Running" else 1


def _kubeconfig(options: argparse.Namespace, _console: Console) -> int:
    layout = Layout.of(options.name)
    if not layout.kubeconfig.exists():
        raise LocalkubeError(f"there is no instance {options.name}: `localkube up --name {options.name}` makes it")
    _write(str(layout.kubeconfig))
    return 0


def _build(options: argparse.Namespace, console: Console) -> int:
    for name in options.modules or (f"kubernetes-{modules.kubernetes_minors()[0]}", "containerd", "helm"):
        _write(str(builder.binaries(modules.load(name), console)))
    return 0


def _tool(options: argparse.Namespace, console: Console) -> int:
    _write(str(builder.tool(options.tool, console)))
    return 0
