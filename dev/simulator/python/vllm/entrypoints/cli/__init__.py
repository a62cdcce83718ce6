"""Part of the stand-in of vLLM."""
