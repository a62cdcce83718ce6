"""What the audit log says about a wave of resources: requests of each, and when its children were made."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Json = dict[str, Any]

RESOURCE = "hipbmmdeployments"
CHILDREN = frozenset({"deployments", "services", "persistentvolumeclaims", "controllerrevisions"})
_CREATED = 201


@dataclass(frozen=True, slots=True)
class Wave:
    """One wave of resources: seconds are on the clock of the API server."""

    requests: dict[str, int]
    """Requests of the operator by resource."""
    kinds: Counter[str]
    """Requests by verb and kind."""
    delays: list[float]
    """From each resource's creation to that of its last child."""
    last_child: float
    """From the last resource's creation to the last child of all."""
    creating: float
    """From the first resource's creation to that of the last."""


def wave(events: Iterable[Json], operator: str, namespace: str, names: frozenset[str]) -> Wave:
    """The wave of resources `names` in one namespace, whose children are named after them."""
    requests: dict[str, int] = dict.fromkeys(names, 0)
    kinds: Counter[str] = Counter()
    born: dict[str, float] = {}
    children: dict[str, float] = {}
    for event in events:
        about = event.get("objectRef") or {}
        name = _resource(event, names)
        if about.get("namespace") != namespace or name is None:
            continue
        created = (event.get("responseStatus") or {}).get("code") == _CREATED
        if event["user"]["username"] != operator:
            if created and about["resource"] == RESOURCE:
                born[name] = _time(event)
            continue
        requests[name] += 1
        kinds[_kind(event)] += 1
        if created and about["resource"] in CHILDREN:
            children[name] = max(_time(event), children.get(name, 0.0))
    missing = names - children.keys()
    if missing or names - born.keys():
        raise RuntimeError(f"the audit log has no children of {sorted(missing)[:5]}")
    return Wave(
        requests=requests,
        kinds=kinds,
        delays=[children[name] - born[name] for name in names],
        last_child=max(children.values()) - max(born.values()),
        creating=max(born.values()) - min(born.values()),
    )


def changes(events: Iterable[Json], operator: str, namespace: str, names: Sequence[str]) -> list[float]:
    """For each resource the seconds from its change by somebody else to that of its Deployment by the operator."""
    asked: dict[str, float] = {}
    done: dict[str, float] = {}
    for event in events:
        about = event.get("objectRef") or {}
        name = about.get("name", "")
        if event["verb"] != "patch" or about.get("namespace") != namespace or about.get("subresource"):
            continue
        by_operator = event["user"]["username"] == operator
        if about["resource"] == RESOURCE and not by_operator:
            asked.setdefault(name, _time(event))
        elif about["resource"] == "deployments" and by_operator and name in asked:
            done.setdefault(name, _time(event))
    if missing := set(names) - done.keys():
        raise RuntimeError(f"the audit log has no change of {sorted(missing)[:5]}")
    return [done[name] - asked[name] for name in names]


def _kind(event: Json) -> str:
    about = event["objectRef"]
    return "/".join(filter(None, (f"{event['verb']} {about['resource']}", about.get("subresource"))))


def _resource(event: Json, names: frozenset[str]) -> str | None:
    """The resource that a request is about: children are named `NAME`, `NAME-...`, Events `NAME.hash`."""
    name = str((event.get("objectRef") or {}).get("name", "")).split(".")[0]
    while name not in names:
        name, dash, _ = name.rpartition("-")
        if not dash:
            return None
    return name


def _time(event: Json) -> float:
    return datetime.fromisoformat(event["stageTimestamp"]).timestamp()
