"""Part of the stand-in of AITER."""
