"""The simulator's torch.cuda, and its "cuda" tensors that live on the CPU."""

import aiter_simulator.hook  # noqa: F401 - installs itself
