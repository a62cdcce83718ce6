"""The custom resources as pydantic models: the source of the CRDs' schemas and the only parser of their objects.

In: the body of a HipbmmDeployment or HipbmmProfile as the API server sends it. Out: `Resource` (its metadata and raw
spec), `Spec` and `ProfileSpec` (typed, defaults filled in) or a message with field and value, `Status` and
`ProfileStatus` as they are stored; `crd` writes the schemas that the chart and `crds/` carry; `conditions` makes
conditions, `reasons` has every reason that one can have.

Invariants: the schema and the parser are one thing and cannot differ; a field that is accepted has an effect; a default
that is added later changes no stored object; unknown fields are reported, not refused, because the CRD may be newer.
Imports `kube/` only; any room above may import it.
"""
