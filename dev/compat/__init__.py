"""Real vLLM on a machine without a GPU: what the product says is compared with what vLLM's own code does."""
