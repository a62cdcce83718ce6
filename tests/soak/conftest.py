"""The simulated pod of the kernel's tests."""

from tests.kernel.pods import a_stack, make_pod, node, pod

__all__ = ["a_stack", "make_pod", "node", "pod"]
