"""Which linears a model has on one rank, by architecture.

In: a `module.Model` (the text model's fields and the parallelism). Out: a `module.Module` for each linear.
`families` has a row for each architecture and the forms that several share, `forms` the blocks that all are made of and
the layers that one family has, `towers` what lies outside the language model. Shapes follow vLLM's own model classes
(vllm/model_executor/models in 0.33.0). Imported by `planner` only.
"""
