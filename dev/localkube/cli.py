"""A real Kubernetes on this machine, from Go modules."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from localkube import builder, imagebuilder, images, imagestore, instance, lifecycle, modules, prepare, record, status
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
    up.add_argument(
        "--rates", choices=record.RATES, help="of requests by controllers and scheduler; default: fast, as tests want"
    )
    up.set_defaults(run=_up)

    down = commands.add_parser("down", parents=[named], help="stop an instance and remove it")
    down.add_argument("--keep", action="store_true", help="keep its data for the next `up`")
    down.set_defaults(run=_down)

    show = commands.add_parser("status", parents=[named], help="what runs; exit code 1 when it is not ready")
    show.add_argument("-o", "--output", choices=("text", "json"), default="text")
    show.set_defaults(run=_status)

    config = commands.add_parser("kubeconfig", parents=[named], help="print the path of the kubeconfig")
    config.set_defaults(run=_kubeconfig)

    _image_commands(commands.add_parser, named)

    doctor = commands.add_parser("doctor", help="check, and as root install, what the node profile and images need")
    doctor.set_defaults(run=_doctor)

    build = commands.add_parser("build", help="build binaries into the cache")
    build.add_argument("modules", nargs="*", metavar="MODULE", help=f"of {', '.join(modules.names())}")
    build.set_defaults(run=_build)

    tool = commands.add_parser("tool", help="print the path of a binary, built when missing")
    tool.add_argument("tool", metavar="TOOL", help="kubectl, helm, ctr, kwok, kubeconform, kube-score, ...")
    tool.set_defaults(run=_tool)
    return parser


def _image_commands(add: Callable[..., argparse.ArgumentParser], named: argparse.ArgumentParser) -> None:
    load = add("load", parents=[named], help="import images into a node")
    load.add_argument(
        "images", nargs="+", metavar="IMAGE", help=f"an OCI archive, or one of {', '.join(images.IMAGES)}"
    )
    _builder_options(load)
    load.set_defaults(run=_load)

    make = add("images", help="build images and print the paths of their archives")
    make.add_argument("images", nargs="*", metavar="IMAGE", help=f"of {', '.join(images.IMAGES)}; default: all")
    _builder_options(make)
    make.set_defaults(run=_images)

    ahead = add("prepare", help="build all that a node and its images need, side by side")
    ahead.add_argument("--kubernetes", choices=modules.kubernetes_minors(), help="default: the newest")
    ahead.add_argument("images", nargs="*", metavar="IMAGE", help=f"of {', '.join(images.IMAGES)}; default: all")
    _builder_options(ahead)
    ahead.set_defaults(run=_prepare)


def _builder_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--base-image", help="an image with Python 3, instead of one made by debootstrap")
    parser.add_argument("--tag", default="dev", help="of the images built (default: %(default)s)")
    parser.add_argument("--build-arg", action="append", default=[], metavar="KEY=VALUE", help="for the Dockerfile")
    parser.add_argument("--builder", choices=imagebuilder.TOOLS, help="default: the first that is there")


def _write(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _up(options: argparse.Namespace, console: Console) -> int:
    lifecycle.up(Layout.of(options.name), Wish(options.profile, options.kubernetes, options.rates), console)
    return 0


def _down(options: argparse.Namespace, console: Console) -> int:
    lifecycle.down(Layout.of(options.name), console, keep=options.keep)
    return 0


def _status(options: argparse.Namespace, _console: Console) -> int:
    state = instance.describe(options.name)
    _write(json.dumps(state, indent=2) if options.output == "json" else status.text(state))
    return 0 if state["state"] == "Running" else 1


def _kubeconfig(options: argparse.Namespace, _console: Console) -> int:
    _write(str(instance.kubeconfig(options.name)))
    return 0


def _load(options: argparse.Namespace, console: Console) -> int:
    layout = Layout.of(options.name)
    if not layout.containerd_socket.exists():
        raise LocalkubeError(
            f"instance {options.name} has no node: `localkube up --profile node --name {options.name}`"
        )
    for image in options.images:
        archive = Path(image) if Path(image).is_file() else _archive(image, options, console)
        imagestore.load(layout, archive, console)
    return 0


def _images(options: argparse.Namespace, console: Console) -> int:
    for image in options.images or images.IMAGES:
        _write(str(_archive(image, options, console)))
    return 0


def _archive(image: str, options: argparse.Namespace, console: Console) -> Path:
    return images.archive(
        images.named(image, options.tag, options.build_arg), console, options.base_image, options.builder
    )


def _prepare(options: argparse.Namespace, console: Console) -> int:
    kubernetes = modules.kubernetes_module(options.kubernetes or modules.kubernetes_minors()[0])
    wanted = [images.named(image, options.tag, options.build_arg) for image in options.images or images.IMAGES]
    prepare.run(kubernetes, wanted, console, options.base_image, options.builder)
    return 0


def _doctor(_options: argparse.Namespace, console: Console) -> int:
    prepare.machine_check(console)
    console.line("this machine has what the node profile and the images need")
    return 0


def _build(options: argparse.Namespace, console: Console) -> int:
    for name in options.modules or (*prepare.DEFAULT_MODULES, f"kubernetes-{modules.kubernetes_minors()[0]}"):
        _write(str(builder.binaries(modules.load(name), console)))
    return 0


def _tool(options: argparse.Namespace, console: Console) -> int:
    _write(str(builder.tool(options.tool, console)))
    return 0
