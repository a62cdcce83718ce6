"""Acceptance on real hardware: every claim about AITER, hipBLASLt and this program that only an MI3xx can show.

In: the identity of this container, problems, a scratch directory. Out: one verdict (pass, fail, skip) for each check,
with its evidence, as a JSON document and a page.
`catalogue` lists the checks in their order and runs them. A check (`checks_*`) asks one question: it starts a child
(`supervision`, one process per question, since the answer may end the process), the child runs one of `programs` and
reports line by line, and the check's verdict follows from what was reported and how the child ended.
Invariants: a child never outlives its check or its deadline; what ends a child is evidence, never an error here; torch
is imported in children only. Imported by `cli` and by nothing else.
"""
