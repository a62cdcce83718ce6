"""The work queue: which resource is reconciled when, and how often.

In: keys of resources from `watch/`, each with a delay or at once. Out: calls of the reconciler, one at a time for each
key. `Queue` holds each key once; what a person changed comes before what only follows from it, but never for ever.
`Workers` take keys while this process holds the Lease; an `Outcome` says when a key comes again. A failure comes again
with exponential backoff and full jitter, a success resets that. `Debounce` is the one window in which the events of a
resource's children become one reconcile and one status.

Never: two workers on one key, a key that is lost while it is reconciled, a retry without a pause. `watch/`,
`controller/` and `manager` import it. Queue and window have no clock but the one that is handed in.
"""
