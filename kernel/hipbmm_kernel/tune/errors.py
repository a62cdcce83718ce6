"""Errors of the tuning child that are answers, not accidents."""


class MemoryShortError(RuntimeError):
    """The device has not enough free memory for the task; AITER would end the process."""
