"""config.json and the server's command line -> the problems to tune. Pure: a function of bytes and options.

In: the bytes of config.json (`model_config`), `vllm serve`'s arguments (`server_flags`), vLLM's version.
Out: `plan.build` gives linears, each eligible or with the reason in the words of vLLM's `can_implement`, tokens
(`tokens`), problems (hot first), an estimate (`cost`), and what was left out and why.

`shapes` knows which linears an architecture has, `quantisation` how a checkpoint quantises each.
Never: I/O, a regular expression of a model that backtracks for ever, a plan for an architecture that is not known.
The answer of the image's own vLLM is better than this one; nothing new is added here by hand. Any room above
may import it.
"""
