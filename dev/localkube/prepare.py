"""Everything that takes long, ahead of the first `up`: the processor compiles while the disk and the network fetch."""

import threading
from collections.abc import Callable

from localkube import builder, imagebuilder, images, modules, packages, rootfs
from localkube.console import Console
from localkube.errors import LocalkubeError
from localkube.images import Image
from localkube.machine import is_root
from localkube.modules import GoModule

# Beside Kubernetes itself; what else there is in modules/ is built when a command asks for it.
DEFAULT_MODULES = ("containerd", "coredns", "helm")


def machine_check(console: Console) -> None:
    """What comes from the distribution, installed when we are root."""
    builder.require_go()
    packages.ensure(packages.NODE | packages.BASES, console)
    imagebuilder.find(console)


def run(
    kubernetes: GoModule, wanted: list[Image], console: Console, base_image: str | None = None, tool: str | None = None
) -> None:
    """Binaries in one thread, packages and images in another; the first error is raised when both have ended."""
    builder.require_go()

    def binaries() -> None:
        builder.binaries(kubernetes, console)
        for name in DEFAULT_MODULES:
            builder.binaries(modules.load(name), console)

    def archives() -> None:
        if is_root():
            packages.ensure(packages.NODE, console)
        for image in wanted:
            if base_image is None:
                rootfs.archive(image.base, console)
        for image in wanted:
            images.archive(image, console, base_image, tool)

    _both(binaries, archives)


def _both(*tasks: Callable[[], None]) -> None:
    errors: list[LocalkubeError] = []

    def guarded(task: Callable[[], None]) -> None:
        try:
            task()
        except LocalkubeError as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise LocalkubeError("\n".join(str(error) for error in errors))
