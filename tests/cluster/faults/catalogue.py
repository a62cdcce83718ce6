"""Trouble that the API server or the network makes, each as rules for a proxy."""

from collections.abc import Callable

from tests.cluster.faults.proxy import Call, Json, Rule, anything, lists, watches, writes

GONE: Json = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}}
BROKEN: Json = {"type": "ERROR", "object": {"kind": "Status", "code": 500, "reason": "InternalError", "message": "x"}}
QUICK_RESYNC = {"HIPBMM_RESYNC_SECONDS": "3"}


def every(n: int, matches: Callable[[Call], bool]) -> Callable[[Call], bool]:
    """Each n-th request of a sort."""
    seen = 0

    def chosen(call: Call) -> bool:
        nonlocal seen
        if not matches(call):
            return False
        seen += 1
        return seen % n == 0

    return chosen


def _deployments(call: Call) -> bool:
    return call.method == "GET" and call.path.endswith("/deployments")


FAULTS: dict[str, Callable[[], list[Rule]]] = {
    "every third write is refused by 500": lambda: [Rule(every(3, writes), status=500)],
    "writes conflict": lambda: [Rule(every(2, writes), status=409, times=6)],
    "too many requests": lambda: [Rule(every(2, anything), status=429, headers={"Retry-After": "1"}, times=10)],
    "answers of writes are lost": lambda: [Rule(every(2, writes), drop_after=True, times=6)],
    "connections are refused": lambda: [Rule(every(3, anything), drop_before=True, times=20)],
    "every request is slow": lambda: [Rule(anything, delay=0.3)],
    "credentials are refused": lambda: [Rule(every(4, anything), status=401, times=12)],
    "watches expire": lambda: [Rule(every(2, watches), insert=GONE, times=10)],
    "watches break with 500": lambda: [Rule(every(5, watches), insert=BROKEN, times=2)],
    "watches are cut after each event": lambda: [Rule(watches, cut_after=1, times=60)],
    "deployments may not be read for a while": lambda: [Rule(_deployments, status=403, times=8)],
    "lists are stale": lambda: [Rule(lists, stale={}, times=400)],
    "deletions bring no event": lambda: [Rule(watches, keep=lambda event: event["type"] != "DELETED")],
}
SETTINGS: dict[str, dict[str, str]] = {"lists are stale": QUICK_RESYNC, "deletions bring no event": QUICK_RESYNC}
"""Settings of the operator under some of them."""
