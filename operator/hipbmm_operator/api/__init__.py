"""The custom resource as pydantic models: the source of the CRD's schema and the only parser of its objects.

In: the body of a HipbmmDeployment as the API server sends it. Out: `Resource` (its metadata and raw spec), `Spec`
(typed, defaults filled in) or a message with field and value, `Status` as it is stored; `crd` writes the schema that
the chart and `crds/` carry; `conditions` makes conditions, `reasons` has every reason that one can have.

Invariants: the schema and the parser are one thing and cannot differ; a field that is accepted has an effect; a default
that is added later changes no stored object; unknown fields are reported, not refused, because the CRD may be newer.
Imports `kube/` only; every other room may import it.
"""
