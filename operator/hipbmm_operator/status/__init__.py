"""What the status says: pure functions of what it was, what is there, what was planned and what was refused.

In: a `Situation` and `now`. Out: the status as JSON, and the transitions of its conditions that become Events. Each
condition is a `Finding` of one module: of `rollout.py` Available and Progressing, of `storage.py` StorageReady, of
`tuning.py` (with `stacks.py`) Tuned and Warm, of `builder.py` ConfigValid and HardwareCompatible; `ready.py` sums them
up in Ready, Stalled and the phase. `transitions.py` gives the Events. api/reasons.py names all reasons.

Never: a time in the status but those of transitions and failures, so that a resource at rest has one status; Ready for
what does not serve; a cause in two conditions as two Events. Imported by apply/ and controller/.
"""
