"""Revisions: which pod template a resource has, now and before.

A template is rendered once for each content of the spec and stored in a ControllerRevision; the Deployment always gets
the stored one. So a new operator, a changed default or a new node changes no pod. Pure.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from hipbmm_operator.api.resource import Resource
from hipbmm_operator.kube import names
from hipbmm_operator.kube.json_text import Json, canonical
from hipbmm_operator.kube.owner import Owner
from hipbmm_operator.observe.observed import Deployment
from hipbmm_operator.resources import circumstances
from hipbmm_operator.resources.circumstances import Circumstances
from hipbmm_operator.resources.controller_revision import Revision, content

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


def choose(
    resource: Resource,
    render: Render,
    around: Circumstances,
    revisions: Sequence[Revision],
    live: Deployment | None,
) -> Choice:
    """Pick the revision for the content of the spec, or render it in the circumstances of now.

    A stored one is outdated when this operator renders another one in the circumstances of then. `live` is the
    Deployment: when its revision was deleted, it is stored again from there instead of rolling pods.
    """
    wanted = content(resource)

    def rendered(at: Circumstances) -> Revision:
        return _named(resource.owner, render(at), wanted, revisions)

    known = max((r for r in revisions if wanted in r.contents), key=lambda r: r.number, default=None)
    kept = known or _recovered(live, wanted, revisions)
    newest = rendered(circumstances.of(kept.template) if kept else around)
    outdated = kept is not None and kept.name != newest.name
    # Of a lost revision that is rendered just so now, the rendered template: the live one has the server's defaults.
    current = known or (kept if kept and outdated else newest)
    same = next((r for r in revisions if r.name == current.name), None)
    if same is not None and wanted not in same.contents:
        current = replace(same, contents=(*same.contents, wanted)[-_MAX_CONTENTS:])
    others = sorted((r for r in revisions if r.name != current.name), key=lambda r: r.number, reverse=True)
    return Choice(
        current=current,
        store=same is None or same.contents != current.contents,
        outdated=outdated,
        obsolete=tuple(others[HISTORY - 1 :]),
    )


def _named(owner: Owner, template: Json, wanted: str, revisions: Sequence[Revision]) -> Revision:
    name = names.child(owner.name, names.short_hash(canonical(template), 10))
    return Revision(name, _next_number(revisions), (wanted,), _marked(template, name))


def _marked(template: Json, name: str) -> Json:
    """The template with the revision's name on its pods."""
    metadata = template.get("metadata", {})
    annotations = {**metadata.get("annotations", {}), names.ANNOTATION_REVISION: name}
    return {**template, "metadata": {**metadata, "annotations": annotations}}


def _recovered(live: Deployment | None, wanted: str, revisions: Sequence[Revision]) -> Revision | None:
    """The lost revision of the Deployment."""
    if live is None or live.content != wanted or not live.template or not live.revision:
        return None
    return Revision(live.revision, _next_number(revisions), (wanted,), live.template)


def _next_number(revisions: Sequence[Revision]) -> int:
    return max((revision.number for revision in revisions), default=0) + 1
