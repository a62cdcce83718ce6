"""From the cluster to one typed `Observed`; the room where bodies of the API end.

In: the cache of watched objects, and reads of what no watch covers: logs, Events, storage classes, a claim or a
ServiceMonitor of somebody else. Out: frozen values. `parse.py` has one function per kind; a field that is absent or of
the wrong type is None or empty. A claim and a ServiceMonitor are read with each reconcile. All else is read at most
once in some seconds, and once for all reconciles that want it (`read_cache.py`): progress, starts and Events while
something changes or is wrong; at rest the ConfigMaps and Secrets that a spec refers to, each minute, and what sidecars
have learned, each nine minutes. `profile_facts.py` reads what a HipbmmProfile needs.

Never: a write; a decision; a body in `Observed` (a child's `spec` is opaque, for apply/ alone). What cannot be read is
unknown, or an error of the reconcile, and never "not there". Imported by plan/, status/, apply/,
controller/ and the manager.
"""
