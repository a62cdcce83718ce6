"""The FP8 linear kernel of vLLM's HIPBMM path as a library for plain PyTorch.

`op` registers `torch.ops.hipbmm.hipb_mm_fp8`; `module.HipbMMLinear` is what a model uses. Nothing is imported here, so
that the torch-free parts (`gate`, and the whole program in a pod) never pay for torch.
"""
