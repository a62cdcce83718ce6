"""ROCm's flash-attention: the package of its operators."""
