"""A reconciler of profiles beside an API server in memory."""

import copy
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from tests import stacks
from tests.unit.operator.fakekube import FakeKube

from hipbmm_operator.apply.profile_objects import ProfileObjects, Program
from hipbmm_operator.apply.status_writer import StatusWriter
from hipbmm_operator.controller.profiles import ProfileList, ProfileReconciler
from hipbmm_operator.injection import patch, spelling
from hipbmm_operator.kube import errors, kinds, names
from hipbmm_operator.kube.client import Page
from hipbmm_operator.kube.kinds import Kind
from hipbmm_operator.kube.metadata import NamespacedName
from hipbmm_operator.observe.profile_facts import ProfileReads
from hipbmm_operator.watch.node_cache import NodeCache
from hipbmm_operator.watch.pruning import prune
from hipbmm_operator.workqueue.queue import Backoff, Queue

Json = dict[str, Any]
KEY = NamespacedName("default", "qwen")
PROGRAM = Program(b"the program")
MAP = f"hipbmm-kernel-{PROGRAM.sha256[:12]}"


class ProfileKube(FakeKube):
    """`refuses` says why a pod is refused by a dry run; `server` is the API server's version; `hidden` a namespace.

    `drops` is a field of the status that the CRD does not know.
    """

    def __init__(self) -> None:
        super().__init__()
        self.server = "v1.37.2"
        self.dry_runs: list[Json] = []
        self.hidden = self.drops = ""

    def refuses(self, pod: Json) -> str:
        del pod
        return ""

    async def merge(self, kind: Kind, namespace: str, name: str, patch: Json, subresource: str = "") -> Json:
        kept = {key: value for key, value in patch.get("status", {}).items() if key != self.drops}
        patch = {**patch, "status": kept} if subresource else patch
        return await super().merge(kind, namespace, name, patch, subresource)

    async def server_version(self) -> str:
        return self.server

    async def try_create(self, kind: Kind, body: Json) -> None:
        assert kind == kinds.POD
        self.dry_runs.append(copy.deepcopy(body))
        if words := self.refuses(body):
            raise errors.ForbiddenError(403, "Forbidden", words)

    async def pages(
        self, kind: Kind, namespace: str = "", selector: object = "", fields: object = "", **_: object
    ) -> AsyncIterator[Page]:
        if self.hidden and namespace == self.hidden:
            raise errors.ForbiddenError(403, "Forbidden", f"{kind.plural} of {namespace} are forbidden")
        async for page in super().pages(kind, namespace):
            reason = str(fields).removeprefix("reason=")
            found = [body for body in page.items if reason in ("", body.get("reason"))]
            yield Page([body for body in found if _selected(body, str(selector))], "0")


def _selected(body: Json, selector: str) -> bool:
    labels = body["metadata"].get("labels") or {}
    terms = [term for term in selector.split(",") if term]
    if any(len(term.partition("=")[2]) > names.MAX_LABEL for term in terms):
        raise errors.InvalidError(400, "BadRequest", "a value of a label has at most 63 characters")
    return all(
        term[1:] not in labels if term.startswith("!") else labels.get(term.split("=")[0]) == term.split("=")[1]
        for term in terms
    )


class Harness:
    """A reconciler, its API server, and one profile."""

    def __init__(self, spec: Json | None = None, program: Program = PROGRAM) -> None:
        self.kube = ProfileKube()
        self.clock = 0.0
        kube: Any = self.kube
        queue = Queue(Backoff(1.0, 1.0, lambda: 1.0), lambda: self.clock)
        self.nodes = NodeCache()
        self.list = ProfileList(kube, (), queue)
        self.reconcile = ProfileReconciler(
            kube=kube,
            profiles=self.list,
            reads=ProfileReads(
                kube, "hipbmm-injection", lambda _: ("of-a-deployment",), self.nodes.kubelets, lambda: self.clock
            ),
            objects=ProfileObjects(kube, program, lambda: self.clock),
            status_writer=StatusWriter(kube, lambda *_: None, lambda: self.clock, 60.0, kinds.HIPBMM_PROFILE),
            now=lambda: datetime(2026, 11, 29, 12, tzinfo=UTC),
        )
        self.put(kinds.HIPBMM_PROFILE, {"metadata": {"name": "qwen"}, "spec": spec or {}})
        self.installed(kinds.MUTATING_POLICY_BINDING, "hipbmm-injection-label")

    def put(self, kind: Kind, body: Json, namespace: str = "default") -> None:
        body["metadata"] |= {"namespace": namespace} if namespace else {}
        self.kube._put("create", kind, body)

    def node(self, name: str, kubelet: str, *, gpus: int = 8) -> None:
        """A node as the cache has it."""
        status = {"nodeInfo": {"kubeletVersion": kubelet}, "allocatable": {"amd.com/gpu": str(gpus)} if gpus else {}}
        self.nodes.put(prune(kinds.NODE, {"metadata": {"name": name}, "status": status}).body(), 0.0)

    def installed(self, kind: Kind, name: str) -> None:
        """An admission object of an installation of ours."""
        self.put(kind, {"metadata": {"name": name, "labels": {spelling.LABEL_ADMISSION: "injection"}}}, "")

    async def run(self) -> Json:
        """Reconcile some seconds later; the status."""
        self.clock += 100.0
        await self.list.refresh()
        await self.reconcile(KEY)
        found: Json = self.kube.objects[kinds.HIPBMM_PROFILE, "default", "qwen"]["status"]
        return found

    def pod(self, name: str, *, injected: bool, report: Json | None = None) -> Json:
        body = stacks.asking("deployment")
        body["metadata"] |= {"name": name}
        if injected:
            status = self.kube.objects[kinds.HIPBMM_PROFILE, "default", "qwen"]["status"]
            import jsonpatch  # noqa: PLC0415  # of tests that inject only

            profile = {"metadata": {"name": "qwen"}, "status": status}
            body = jsonpatch.apply_patch(body, patch.operations(body, profile))
        warm = {"name": "hipbmm-warm", "state": {}}
        if report is not None:
            warm["state"] = {"terminated": {"exitCode": 0, "message": json.dumps(report)}}
        ready = {"type": "Ready", "status": "True" if report else "False"}
        body["status"] = {"phase": "Running", "initContainerStatuses": [warm], "conditions": [ready]}
        self.put(kinds.POD, body)
        return body

    def events(self) -> list[tuple[str, str, str]]:
        found = [body for (kind, _, _), body in self.kube.objects.items() if kind == kinds.EVENT]
        return [(each["involvedObject"]["kind"], each["type"], each["reason"]) for each in found]


def condition(status: Json, kind: str) -> tuple[str, str]:
    found = next(each for each in status["conditions"] if each["type"] == kind)
    return found["status"], found["reason"]
