"""The API server and its objects, as far as they are the same for all kinds.

`Kube` is one connection: each method is one request (a list is one for each page) with a deadline, and raises an
`ApiError` whose class says who must act. Before each write but those of the Lease it asks whether this process may
write. `kinds` and `names` are all kinds, names, labels and annotations; `metadata`, `quantity` and `times` parse
what any object has; `writes` are the writes that a plan is made of; `json_text` is the text that hashes are made
of, which never changes.

Never: a retry (that is the queue's), a decision about a resource, an importer of `kubernetes` beside `async_client`.
Every room imports it; it imports none.
"""
