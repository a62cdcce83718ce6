"""Revisions: which pod template a resource has, now and before.

A template is rendered once for each content of the spec and stored in a ControllerRevision; the Deployment always gets
the stored one. So a new operator, a changed default or a new node changes no pod. Pure.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from hipbmm_operator.api.resource import Resource
from hipbmm_operator.kube import names
from hipbmm_operator.kube.json_text import Json, canonical
from hipbmm_operator.kube.metadata import as_object, parse
from hipbmm_operator.observe.observed import Deployment, Observed
from hipbmm_operator.resources import circumstances
from hipbmm_operator.resources.circumstances import Circumstances
from hipbmm_operator.resources.controller_revision import Revision, content, entry, stored

Render = Callable[[Circumstances], Json]
"""Renders the template that this operator makes of a spec."""

HISTORY = 5
_MAX_CONTENTS = 16


@dataclass(frozen=True, slots=True)
class Choice:
    """The revision that the Deployment gets, and what must be stored or may go."""

    current: Revision
    store: bool
    outdated: bool
    obsolete: tuple[Revision, ...] = ()


def choose(resource: Resource, render: Render, observed: Observed, *, lacking: bool = False) -> Choice:
    """Pick the revision for the content of the spec and of the ConfigMaps that it refers to, or render it.

    `lacking`: of these something is not there without which no pod starts: new pods would only replace what runs.
    It is rendered in the circumstances of now; a stored one is outdated when this operator renders another one in the
    circumstances of then. When the revision of the Deployment was deleted, it is stored again from there instead of
    rolling pods.
    """
    revisions, config = observed.revisions, observed.facts.config
    base, live = content(resource), observed.deployment.revision if observed.deployment else ""
    if lacking and stored(base, "", revisions):
        config = ""
    wanted = entry(base, config)

    def rendered(at: Circumstances, config: str) -> Revision:
        template = _annotated(render(at), {names.ANNOTATION_CONFIG: config} if config else {})
        name = names.child(resource.meta.name, names.short_hash(canonical(template), 10))
        return Revision(
            name, _next_number(revisions), (wanted,), _annotated(template, {names.ANNOTATION_REVISION: name})
        )

    known = stored(base, config, revisions, live)
    kept = known or _recovered(observed.deployment, base, wanted, revisions)
    newest = rendered(circumstances.of(kept.template), _config(kept.template)) if kept else None
    outdated = kept is not None and newest is not None and kept.name != newest.name
    # Of a lost revision that is rendered just so now, the rendered template: the live one has the server's defaults.
    current = known or (kept if kept and outdated else newest) or rendered(observed.circumstances, config)
    same = next((r for r in revisions if r.name == current.name), None)
    if same is not None and wanted not in same.contents and (config or known is None):
        current = replace(same, contents=(*same.contents, wanted)[-_MAX_CONTENTS:])
    others = sorted((r for r in revisions if r.name != current.name), key=lambda r: r.number, reverse=True)
    return Choice(
        current=current,
        store=same is None or not same.meta.owners or same.contents != current.contents,
        outdated=outdated,
        obsolete=tuple(others[HISTORY - 1 :]),
    )


def _config(template: Json) -> str:
    """The digest of ConfigMaps that is noted on a template."""
    return parse(template).annotations.get(names.ANNOTATION_CONFIG, "")


def _annotated(template: Json, more: Mapping[str, str]) -> Json:
    """The template with these annotations on its pods, too."""
    metadata = as_object(template.get("metadata"))
    return {**template, "metadata": {**metadata, "annotations": {**as_object(metadata.get("annotations")), **more}}}


def _recovered(live: Deployment | None, base: str, wanted: str, revisions: Sequence[Revision]) -> Revision | None:
    """The lost revision of the Deployment."""
    if live is None or live.content != base or not live.template or not live.revision:
        return None
    if live.revision in {revision.name for revision in revisions}:
        return None
    return Revision(live.revision, _next_number(revisions), (wanted,), live.template)


def _next_number(revisions: Sequence[Revision]) -> int:
    return max((revision.number for revision in revisions), default=0) + 1
