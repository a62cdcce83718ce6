"""Tests of the table in memory use the simulated AITER of the linear tests."""

from tests.kernel.linear.conftest import order_fault, simulated

__all__ = ["order_fault", "simulated"]
