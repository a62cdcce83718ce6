"""The commands `detect` and `explain`: what the operator makes of objects in a file, without a cluster.

`detect` reads nodes. In: YAML or JSON of Nodes, ResourceSlices, NodeFeatures and Pods (`plain_yaml` keeps label values
as they are written, `inventory` sorts the objects and names what is malformed). Out: a table, or one JSON value on
stdout; messages on stderr; exit code 0, 1 or 2 (docs/detection.md). The judgement is `detect/`'s, the same as the
operator's.

Invariants: nothing in a file runs code, overflows the stack or hides the rest of the file; an object that cannot be
read is named by document and field. Imported by `__main__` alone.

`explain` reads what kubectl prints of pods and HipbmmProfiles: why each pod was injected or was not, in the words of
`profiles/` and `injection/`.
"""
