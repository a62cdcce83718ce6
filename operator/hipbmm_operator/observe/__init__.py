"""From the cluster to one typed `Observed`; the room where bodies of the API end.

In: the cache of watched objects, and reads of what no watch covers: logs, Events, storage classes, a claim or a
ServiceMonitor of somebody else. Out: frozen values. `parse.py` has one function per kind; a field that is absent or of
the wrong type is None or empty. `on_demand.py` reads only while something is on its way or wrong, each thing at most
once in some seconds and once for all reconciles that want it; at rest nothing is read.

Never: a write; a decision; a body in `Observed` (a child's `spec` is opaque, for apply/ alone). What cannot be read is
unknown, or an error of the reconcile, and never "not there". Imported by plan/, status/, apply/,
controller/ and the manager.
"""
