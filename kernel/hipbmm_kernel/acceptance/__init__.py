"""Acceptance on real hardware: every claim about AITER, hipBLASLt and this program that only an MI3xx can show.

A check asks one question, in a child process of its own where the answer may end the process, and comes to a verdict
by a pure function of what was seen. `catalogue` lists them, `command` runs them, `report` writes what came out.
"""

from hipbmm_kernel.acceptance.command import acceptance_command

__all__ = ["acceptance_command"]
