"""The writes that a mirror needs. Pure."""

from hipbmm_operator.kube import kinds
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.owner import Owner
from hipbmm_operator.kube.writes import Deletion, Step
from hipbmm_operator.mirror import configmap
from hipbmm_operator.mirror import state as seen
from hipbmm_operator.mirror.content import Content
from hipbmm_operator.mirror.state import Seen

_METADATA = ("labels", "annotations", "ownerReferences")


def steps(owner: Owner, state: Seen, *, wanted: bool) -> tuple[list[Step], list[Deletion]]:
    """First the immutable copy, then what pods mount; a former copy goes when the new one is mounted."""
    if not wanted:
        own = [*state.archives, *([state.mounted] if state.mounted else [])]
        return [], [_deletion(body) for body in own]
    if state.content is None:
        meant = seen.meant(state.mounted)
        return [], [_deletion(body) for body in state.archives if seen.digest(body) != meant]
    made = []
    if state.content.digest not in map(seen.digest, state.archives):
        made.append(Step("create", kinds.CONFIG_MAP, configmap.build_archive(owner, state.content, state.taken)))
    if state.mounted is not None and (state.mounted.get("content") or {}).get("immutable"):
        # Somebody sealed it, so it cannot be repaired but only replaced.
        return made, [_deletion(state.mounted)]
    return [*made, _mounted(owner, state.content, state)], []


def _mounted(owner: Owner, content: Content, state: Seen) -> Step:
    body = configmap.build(owner, content, state.taken)
    live = state.mounted
    if live is None:
        return Step("create", kinds.CONFIG_MAP, body)
    metadata = {key: body["metadata"][key] for key in _METADATA}
    metadata |= {"name": body["metadata"]["name"], "namespace": owner.namespace, "uid": live["metadata"]["uid"]}
    data: Json = dict.fromkeys((live.get("content") or {}).get("keys", [])) | body["binaryData"]
    return Step("merge", kinds.CONFIG_MAP, {"metadata": metadata, "binaryData": data, "data": None})


def _deletion(body: Json) -> Deletion:
    metadata = body["metadata"]
    return Deletion(kinds.CONFIG_MAP, metadata["name"], metadata["uid"], metadata["resourceVersion"])
