"""Real vLLM on a machine without a GPU: what the product says is compared with what vLLM's own code does.

In: the Python of the pinned versions of vLLM (`environment`), command lines, config.json of many models. Out: what that
code answers, for tests/compat, and as recorded files for the unit tests (`goldens`). README.md has the parts.
Never: vLLM in the process of a test (`worker` is a process for each version), a GPU. Imported by tests only.
"""
