"""Which linears a model has on one rank, by architecture.

In: a `module.Model` (the text model's fields and the parallelism). Out: a `module.Module` for each linear.
`registry` says which function plans which architecture; `blocks` has what families share. Shapes follow vLLM's own
model classes (vllm/model_executor/models in 0.33.0). Imported by `planner.plan` only.
"""
