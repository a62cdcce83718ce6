"""Tuning: a parent without torch supervises children that import torch and AITER and may die at any call.

In: a `handover` (settings, identity, where to work), the plan, the store's table, the problems that want a right row.
Out: an `Outcome`: rows found right, vetoes, and why other problems have none; the store gets rows and vetoes meanwhile.
`engine` is the entry. `tuner` runs one `crew` of children, one per GPU: each idle child gets the next task. What is
asked about a problem, and what an answer means, is `visit` (pure): tune, verify, and when AITER's choice is wrong the
indices of neighbours, then all that hipBLASLt lists. Whether a GPU may be believed is `trust` (pure); `schedule` is the
order of problems (pure).
Invariants: a row leaves as verified only after its result was compared with fp32, found in a table and given, with a
bias and without, and its linear was found right above AITER's limit both ways; a veto leaves only after its GPU has
computed something right since; a child that dies or hangs costs its task, never the run; no wait is without a limit.
Rooms above import it; `pod` imports `engine` only when something is to tune.
"""
