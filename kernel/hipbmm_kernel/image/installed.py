"""What the image's vLLM is, from its files: importing it costs seconds."""

import contextlib
import functools
import os
import sys
from typing import NamedTuple

from hipbmm_kernel.identity.software import package_directory
from hipbmm_kernel.linear.eligibility import HIPBMM
from hipbmm_kernel.system.digest import sha256
from hipbmm_kernel.system.files import listed, read_bytes

_NEEDED = ("engine/arg_utils.py", "model_executor/model_loader/utils.py")
"""Files of a vLLM that can be asked; an image without them is not asked at all."""
_KERNEL_FILE = "model_executor/kernels/linear/scaled_mm/aiter.py"
"""Where 0.23.0 to 0.33.0 have the HIPBMM kernel."""
_CHAIN_FILE = "model_executor/kernels/linear/__init__.py"
_CHAIN = b"_POSSIBLE_FP8_KERNELS"
"""What the plugin with the bundled kernel needs: 0.22.0 has it."""
MAX_BYTES = 8 << 20


class Installed(NamedTuple):
    """The vLLM that `import vllm` would give.

    `missing` says why it cannot be asked ("" when it can), `has_kernel` whether its files have the class of the HIPBMM
    kernel (None when there is no whole vLLM), `record` is the digest of its list of installed files.
    `has_chain`: it chooses kernels from a list into which the plugin can put the bundled one.
    """

    missing: str
    has_kernel: bool | None = None
    record: str = ""
    has_chain: bool = False


def read() -> Installed:
    """The vLLM of this image. Never raises."""
    directory = package_directory("vllm")
    if directory is None:
        return Installed("the image has no vLLM")
    for name in _NEEDED:
        if not os.path.isfile(f"{directory}/{name}"):
            return Installed(f"the image's vLLM has no {name}")
    kernel, chain = (read_bytes(f"{directory}/{name}", MAX_BYTES) or b"" for name in (_KERNEL_FILE, _CHAIN_FILE))
    return Installed("", f"class {HIPBMM}".encode() in kernel, _record(directory), _CHAIN in chain)


@functools.cache
def _record(directory: str) -> str:
    """The digest of the RECORD that pip left, which names each installed file with its hash.

    Without one that names vLLM's own files (an editable installation has another) the files' names and sizes count.
    """
    for path in sys.path:
        for name in listed(path, "vllm-") if path else []:
            data = read_bytes(f"{path}/{name}/RECORD", MAX_BYTES) if name.endswith(".dist-info") else None
            if data is not None and f"vllm/{_NEEDED[0]},".encode() in data:
                return sha256(data)
    sizes: list[str] = []
    for folder, _, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(OSError):
                sizes.append(f"{folder[len(directory) :]}/{name} {os.stat(f'{folder}/{name}').st_size}")
    return sha256("\n".join(sorted(size for size in sizes if ".py " in size)).encode("utf-8", "surrogateescape"))
