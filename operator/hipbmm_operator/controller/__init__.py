"""One resource at a time: observe, decide, apply, report.

In: the name of a resource, from the queue. Out: an `Outcome` for the queue, that is, when to reconcile again.
`reconciler.py` reads the resource from the cache and takes the four steps: `observe/` gives one `Observed`, `plan/` one
`Plan`, `apply/` makes its writes, `status/` and the status writer report. An `ApiError` is raised to the worker, which
retries with backoff. `leader_election.py` keeps the Lease: without it no worker starts a reconcile. `profiles.py` does
the same for HipbmmProfiles, `injection.py` wires what serves them.

Never: two reconciles of one resource at once (the queue holds a key back), a write without the Lease, a child made for
a resource that has been deleted. Imported by the manager only.
"""
