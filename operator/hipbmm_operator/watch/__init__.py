"""kopf and the cache: what the API server has, in memory, and the work that follows from its changes.

In: watch events and lists of the API server. `Watches` runs kopf in a thread and gives one stream of events; `Rights`
says what may be watched. Out: pruned objects (`ObjectCache`), detections of nodes (`NodeCache`), and keys in the work
queue; nothing is written. `Informer` is between them: events bring each change, and a list of everything, at
the start, each ten minutes and whenever a watch begins anew, drops what is gone and adds what no event has brought. An
older state never replaces a newer one, and what may not be seen stays as it was.

Only this room imports kopf. `observe/`, `controller/` and `manager` import it; it imports `workqueue/` and what is
below.
"""
