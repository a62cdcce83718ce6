"""How each linear of a checkpoint is quantised: does it have a scale per token and one per channel, as HIPBMM needs.

In: `quantization_config` of a config.json, or a flag for online quantisation; vLLM's version.
Out: `detect.of` gives a `scheme.Quantisation`; asked for a module, it answers a `Scheme`, with the reason why it
never reaches an FP8 kernel of that kind. One file per checkpoint format; `ignore_list` matches names and patterns.
Never: a pattern that could backtrack for ever. Imported by `planner.plan` only.
"""
