"""Which linears a model has on one rank, by architecture.

Each module of this package has a function `modules(model)` for one family; `registry` says which architecture belongs
to which family. Shapes follow vLLM's own model classes (vllm/model_executor/models in 0.33.0).
"""
