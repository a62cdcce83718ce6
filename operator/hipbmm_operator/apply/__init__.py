"""The writes: children, the status, Events.

In: a `Plan` with the children as they were observed, a status as it should be. Out: how many writes were made, and a
`WriteFailure` for each that was not. Children are written by server-side apply with one field manager. `intent.py`
skips a write when the child carries the hash of this very intent and each field of it still holds, so a restarted
operator writes nothing. The status is a JSON merge patch of the difference, with the uid as precondition.

Never: force on an object that was not seen to be ours; a status on a new resource of the same name; one failed write
that keeps the others back. `profile_objects.py`, `profile_events.py` and `webhook_certificate.py` write what serves
HipbmmProfiles. Imported by controller/ and the manager.
"""
