"""Pods with two small linears, and the server that each starts after `warm`."""

from tests.kernel.conftest import zygote
from tests.kernel.tune.conftest import make_pod, serve

__all__ = ["make_pod", "serve", "zygote"]
