"""What GPUs a Node has, whether a serving pod can start on it, and which node affinity chooses it.

In: plain Node, ResourceSlice and NodeFeature objects. Out: a `Detection` for each node, a `HardwareSummary` for each
deployment, affinity terms.

The path of a node: `sources/` read labels, NFD and DRA so that nothing in them can raise; `evidence` -> `identity` sort
what they say into tiers of trust, resolve them to one product, and bridge labels that are gone for a while;
`resource_choice`, `partition_shape`, `availability` choose the resource, the size of one device and what keeps pods
away; `detector` makes the Detection, `node_fit` compares it with a deployment, `affinity` says by which labels pods can
be sent to it. `catalogue/` holds the facts about hardware.

Invariants: pure, the time is an argument; never raises, whatever the objects hold; what pods cannot be sent to is not
counted as fitting. Imports `kube/` and `api/`; any room above may import it.
docs/detection.md explains it to users.
"""
