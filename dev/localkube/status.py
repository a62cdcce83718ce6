"""What `status` says."""

from typing import Any

from localkube import processes, readiness
from localkube import record as records
from localkube.api import Api
from localkube.paths import Layout
from localkube.record import Record

# The standard place: the node's own mount namespace has it, and a device plugin mounts it by hostPath.
DEVICE_PLUGIN_DIRECTORY = "/var/lib/kubelet/device-plugins"

State = dict[str, Any]


def of(layout: Layout) -> State:
    """The state of an instance: `state` is Absent, Stopped, Degraded (with `reason`) or Running."""
    record = records.load(layout.record)
    if record is None:
        return {"name": layout.name, "state": "Absent", "reason": "never made, or removed by `down`"}
    running = [process for process in processes.of_instance(layout.root) if process.component]
    state, reason = _condition(record, layout, up=bool(running))
    return {
        "name": record.name,
        "state": state,
        "reason": reason,
        "profile": record.profile,
        "kubernetes": record.kubernetes,
        "server": record.server,
        "kubeconfig": str(layout.kubeconfig),
        "auditLog": str(layout.audit_log),
        "logs": str(layout.logs),
        "stateDir": str(layout.root),
        "volumesDir": str(layout.volumes),
        "node": record.node_name if record.profile == "node" else None,
        "devicePluginDir": DEVICE_PLUGIN_DIRECTORY if record.profile == "node" else None,
        "containerdSocket": str(layout.containerd_socket) if record.profile == "node" else None,
        "components": [
            {"name": process.component, "pid": process.pid, "rssMiB": round(process.rss_bytes / 2**20)}
            for process in running
        ],
    }


def text(state: State) -> str:
    """The same for people."""
    reason = f" ({state['reason']})" if state["reason"] else ""
    lines = [f"{state['name']}: {state['state']}{reason}"]
    keys = ("profile", "kubernetes", "server", "kubeconfig", "node", "logs")
    lines += [f"  {key:<12}{state[key]}" for key in keys if state.get(key)]
    lines += [f"  {item['pid']:>8}  {item['rssMiB']:>5} MiB  {item['name']}" for item in state.get("components", [])]
    return "\n".join(lines)


def _condition(record: Record, layout: Layout, up: bool) -> tuple[str, str]:
    if not up:
        return "Stopped", "no process runs"
    if processes.supervisor(layout.root) is None:
        return "Degraded", "the supervisor is gone; `up` starts it again"
    api = Api(record.server, layout.pki, "admin")
    missing = readiness.api_ready(api) or readiness.accounts_ready(api)
    if not missing and record.profile == "node":
        missing = readiness.node_ready(api, record.node_name)
    return ("Degraded", missing) if missing else ("Running", "")
