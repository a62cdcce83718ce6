"""For a simulated pod whose children come from the zygote: `sys.executable` is what the program starts them with."""

import importlib
import os
import sys

importlib.import_module("aiter_simulator.hook")  # what the simulator's own sitecustomize does

sys.executable = os.environ["ZYGOTE_CHILD"]
