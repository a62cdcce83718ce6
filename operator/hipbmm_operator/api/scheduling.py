"""Where pods may run: node and pod affinity, tolerations, spread. Shapes of core/v1."""

from typing import Annotated, Literal

from pydantic import Field

from hipbmm_operator.api.fields import MAX_INT32, Atomic, LabelKey, LabelMap, LabelValue, Model, ObjectName

Value = Annotated[str, Field(max_length=253)]
Weight = Annotated[int, Field(ge=1, le=100)]
TopologyKey = Annotated[str, Field(min_length=1, max_length=317)]


class NodeRequirement(Model):
    """A requirement on a node's labels or fields."""

    key: Annotated[str, Field(min_length=1, max_length=317)] = Field(description="Label or field.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"] = Field(description="Comparison.")
    values: Atomic[Value] | None = Field(None, max_length=128, description="Values to compare with.")


class NodeTerm(Model):
    """Requirements that must all hold."""

    match_expressions: Atomic[NodeRequirement] | None = Field(
        None, max_length=32, description="Requirements on labels."
    )
    match_fields: Atomic[NodeRequirement] | None = Field(None, max_length=32, description="Requirements on fields.")


class NodeSelector(Model):
    """Terms that a node must fulfil, in addition to having an accepted GPU."""

    node_selector_terms: Atomic[NodeTerm] = Field(
        min_length=1, max_length=8, description="Terms; one of them must hold."
    )


class PreferredNode(Model):
    """A preferred term."""

    weight: Weight = Field(description="Weight of the term.")
    preference: NodeTerm = Field(description="The term.")


class NodeAffinity(Model):
    """Affinity to nodes. Required terms are combined with those of the GPU products."""

    required_during_scheduling_ignored_during_execution: NodeSelector | None = None
    preferred_during_scheduling_ignored_during_execution: Atomic[PreferredNode] | None = Field(
        None, max_length=32, description="Terms that are preferred."
    )


class LabelRequirement(Model):
    """A requirement on labels."""

    key: LabelKey = Field(description="Label.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(description="Comparison.")
    values: Atomic[LabelValue] | None = Field(None, max_length=64, description="Values to compare with.")


class LabelSelector(Model):
    """A selector of labels."""

    match_labels: LabelMap | None = Field(None, description="Labels that must be there.")
    match_expressions: Atomic[LabelRequirement] | None = Field(None, max_length=32, description="Requirements.")


MatchLabelKeys = Annotated[
    Atomic[LabelKey],
    Field(
        max_length=16,
        description="Only pods that have the new pod's own values of these labels, such as pod-template-hash.",
    ),
]


class PodTerm(Model):
    """Pods, and how near counts as near."""

    label_selector: LabelSelector | None = Field(None, description="Which pods.")
    namespaces: Atomic[ObjectName] | None = Field(None, max_length=32, description="Namespaces of these pods.")
    namespace_selector: LabelSelector | None = Field(None, description="Namespaces of these pods, by label.")
    topology_key: TopologyKey = Field(description="Node label: nodes with the same value are near to each other.")
    match_label_keys: MatchLabelKeys | None = None
    mismatch_label_keys: MatchLabelKeys | None = Field(
        None, description="Only pods that have other values of these labels than the new pod."
    )


class PreferredPod(Model):
    """A preferred term."""

    weight: Weight = Field(description="Weight of the term.")
    pod_affinity_term: PodTerm = Field(description="The term.")


class PodAffinity(Model):
    """Affinity to pods."""

    required_during_scheduling_ignored_during_execution: Atomic[PodTerm] | None = Field(
        None, max_length=32, description="Terms that must hold."
    )
    preferred_during_scheduling_ignored_during_execution: Atomic[PreferredPod] | None = Field(
        None, max_length=32, description="Terms that are preferred."
    )


class Affinity(Model):
    """Node and pod affinity."""

    node_affinity: NodeAffinity | None = Field(None, description="Affinity to nodes.")
    pod_affinity: PodAffinity | None = Field(None, description="Pods to be near to.")
    pod_anti_affinity: PodAffinity | None = Field(None, description="Pods to be away from.")


class Toleration(Model):
    """A taint that is tolerated."""

    key: str | None = Field(None, max_length=317, description="Key; absent, with Exists: every taint.")
    operator: Literal["Exists", "Equal"] | None = Field(None, description="Comparison.")
    value: Annotated[str, Field(max_length=63)] | None = Field(None, description="Value of the taint.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(None, description="Effect.")
    toleration_seconds: int | None = Field(
        None, ge=0, le=MAX_INT32, description="How long a NoExecute taint is tolerated."
    )


class TopologySpread(Model):
    """How pods are spread."""

    max_skew: Annotated[int, Field(ge=1, le=1000)] = Field(description="Largest difference of pods between domains.")
    topology_key: TopologyKey = Field(description="Node label that makes the domains.")
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"] = Field(description="What to do beyond maxSkew.")
    label_selector: LabelSelector | None = Field(None, description="Pods that count. Default: those of this resource.")
    match_label_keys: MatchLabelKeys | None = None
    min_domains: Annotated[int, Field(ge=1, le=MAX_INT32)] | None = Field(
        None, description="While there are fewer domains than this, the fewest pods of a domain count as 0."
    )
    node_affinity_policy: Literal["Honor", "Ignore"] | None = Field(
        None, description="Whether only nodes that the pods' affinity chooses make domains. Kubernetes' default: Honor."
    )
    node_taints_policy: Literal["Honor", "Ignore"] | None = Field(
        None, description="Whether only nodes whose taints are tolerated make domains. Kubernetes' default: Ignore."
    )
