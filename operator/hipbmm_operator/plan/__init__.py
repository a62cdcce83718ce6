"""What to do next for one resource: pure functions of its spec, of what was observed, and of the time.

In: `Resource`, `Observed`, `now`. Out: a `Plan` (writes and the decisions behind them), or the problems of a
spec that cannot be used. `validation.py` checks what the schema cannot, `revision.py` picks the stored pod template,
`rollout.py` decides replicas and strategy, `spare_room.py` finds out whether old pods block new ones, `pace.py` whether
new ones serve worse; `volume_claim.py` repairs the claim, `write_failure.py` names refusals.

Never: a clock, a read, a random number; a pod template rendered anew for an unchanged spec, so an upgrade of the
operator restarts no pod. A time that alone would change a decision is in `Plan.requeue_after`. Imported by status/,
apply/ and controller/.
"""
