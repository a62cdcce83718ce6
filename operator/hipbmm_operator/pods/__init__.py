"""What pods report: a pod as a value, the report of `warm`, progress, how the server was started, and what is wrong.

In: parsed pods (`observe/parse` makes them), termination messages and log lines. Out: `Pod`, `Report`, `Progress`,
`Start` with every field checked and bounded, `Failure` with a reason of the API, and whether a tuner hangs (`stall`).
`contract` has the names, paths and variables that both sides of the pod contract share.

Invariants: pure, the time is an argument; pods are not trusted, so nothing here raises for what one says; absent is not
zero. Imports `api/` only; any room above may import it.
"""
