"""The interface between the operator and the program, as docs/pod-contract.md describes it.

In: the environment that the operator wrote (`settings`).
Out: progress lines on standard error (`progress`), report.json and the termination message (`report`).

The operator shares no code with this: `tests/unit/test_pod_contract.py` compares the page and both sides.
Never: a setting that is guessed (what cannot be understood ends the command with status 2 and its name), a termination
message above 4096 bytes, a field that changes its meaning. Imports `rows` and `identity` for types; any room above may
import it.
"""
