"""What runs in a child: torch, AITER, one GPU. Any call may end the process, so only what is reported counts.

In: commands as lines of JSON on a pipe (`tune.protocol`). Out: messages on another pipe, and the table that AITER
writes into the working directory, which the parent reads. `main` is the loop, `tasks` what can be asked, `operands` the
weights and activations with their fp32 reference, `comparison` whether a result is right, `stopwatch` how long a GEMM
takes, `device` the GPU through torch.
Invariants: a candidate is reported before it runs; every element of a result is compared; tuning is off but for the
calls that tune or look up; memory that AITER would need is checked before it is asked. `tune` starts it as a process;
the children of `dispatch` and `acceptance` import it.
"""
