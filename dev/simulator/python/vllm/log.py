"""Log lines in the form of vLLM 0.33: level, date, time, file and line."""

import logging
import sys


def configure() -> logging.Logger:
    """The logger ``vllm``, on standard error as vLLM's own."""
    logger = logging.getLogger("vllm")
    handler = logging.StreamHandler(sys.stderr)
    form = "%(levelname)s %(asctime)s [%(filename)s:%(lineno)d] %(message)s"
    handler.setFormatter(logging.Formatter(form, datefmt="%m-%d %H:%M:%S"))
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False
    return logger


LOGGER = logging.getLogger("vllm")
