"""Where the rows of one resource live: on a claim, in a ConfigMap that mirrors them, or in both. Pure."""

from dataclasses import dataclass, replace

from hipbmm_operator.api.spec import Cache, Claim
from hipbmm_operator.kube.json_text import Json
from hipbmm_operator.kube.metadata import object_at, objects_at
from hipbmm_operator.resources import volume_claim
from hipbmm_operator.resources.volume_claim import StoredClaim

SHARED = "ReadWriteMany"


@dataclass(frozen=True, slots=True)
class Placement:
    """`claim` is what pods mount, None when they have a store of their own each. `mirror`: there is a mirror.

    `aside` is a claim that is not used because pods on several nodes cannot share it; `modes` are its access modes.
    """

    claim: str | None
    mirror: bool = False
    aside: str | None = None
    modes: tuple[str, ...] = ()


def choose(owner_name: str, cache: Cache, live: StoredClaim | None) -> Placement:
    """Decide from the spec, and from the access modes of a claim that is bound or is not ours to create.

    A volume of one node is never mounted while there is a mirror instead of it: a second pod on another node, be it a
    replica or the new pod of an update, would wait for it for ever. The number of replicas does not matter here, or
    scaling would change the pods.
    """
    name = volume_claim.name(owner_name, cache.pvc)
    if name is None:
        return Placement(None, cache.mirror != "Never")
    modes = _modes(cache.pvc, live)
    if cache.mirror == "Auto" and SHARED not in modes:
        return Placement(None, mirror=True, aside=name, modes=modes)
    return Placement(name, cache.mirror == "Always", modes=modes)


def of(template: Json, chosen: Placement) -> Placement:
    """Where the pods of a stored template have their rows.

    The claim may be of another kind than when it was rendered: somebody made it only then, or anew.
    """
    volumes = {str(volume.get("name")): volume for volume in objects_at(template, "spec", "volumes")}
    claim = object_at(volumes.get("store"), "persistentVolumeClaim").get("claimName")
    return replace(chosen, claim=claim, mirror="mirror" in volumes, aside=None if claim else chosen.aside)


def _modes(wanted: Claim, live: StoredClaim | None) -> tuple[str, ...]:
    """Access modes of the claim. One that somebody else has still to make is taken for a shared one."""
    if live is not None and (live.phase == "Bound" or not wanted.create):
        return live.usable_modes
    return tuple(sorted(wanted.access_modes)) if wanted.create else (SHARED,)
