"""Builders of the children: from a resource to the objects that Kubernetes gets, one kind per file.

In: the typed spec, the owner, the resolved command line of the server (`server_args`), where the rows are kept
(`placement`), what the cluster asks of pods (`circumstances`). Out: bodies of the API as dictionaries, complete and
without defaults of the server. The ServiceMonitor is beside its Service, the PodDisruptionBudget beside the Deployment.
`pod_template` renders the four containers of docs/pod-contract.md with `environment` and `node_affinity`.

Invariants: pure, the same input gives the same bytes; nothing in a template depends on a node, a pod or the time, only
on the spec, the operator's version, the access modes of the claim and `circumstances` (kinds of node label, the
namespace's rules, content of ConfigMaps); what the user wrote wins.
`plan/` decides what of it is written; `observe/` and `status/` use its parsed values (`Revision`, `Placement`).
"""
