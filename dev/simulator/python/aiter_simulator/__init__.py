"""What stands behind the stand-ins of `aiter`, `vllm` and `torch.cuda`: simulated GPUs, hipBLASLt, clock and faults."""
