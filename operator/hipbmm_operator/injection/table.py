"""The table: which pods are injected, and each operation. CEL and Python come from it alike. Pure.

Variables are computed in this order, each from those before it. `REFUSALS` say why a pod stays plain; no refusal may
look at what we add, or the second pass of admission would undo the first.
"""

from hipbmm_operator.injection import marks, scripts, service
from hipbmm_operator.injection import spelling as s
from hipbmm_operator.injection.expr import Expr, Predicate, add, both, choose, either, operation, root, term, variable
from hipbmm_operator.kube.json_text import Json

_POD, _PROFILE = root("object"), root("params")
_RECIPE = _PROFILE["status"]["injection"]
_V = variable
_SERVER, _BASE, _WARM, _SET, _COMMAND = (_V(name) for name in ("server", "base", "warm", "set", "command"))

READY = both(
    _PROFILE.get("status", "injection", "ready", default=False),
    _PROFILE.get("status", "injection", "format", default=0) == s.FORMAT,
)
"""The operator has prepared everything, and this admission understands it."""
_LABELS = _POD.get("metadata", "labels", default={})
BY_LABEL = _POD.get("metadata", "labels", s.LABEL_PROFILE, default="") == _PROFILE["metadata"]["name"]
"""The pod names this profile."""
_MATCH = _PROFILE.get("spec", "match", "podLabels", default={})
BY_MATCH = both(
    ~_LABELS.contains(s.LABEL_PROFILE),
    _MATCH.size() != 0,
    _MATCH.all("k", lambda k: both(_LABELS.contains(k), _LABELS[k] == _MATCH[k])),
)
"""The profile chooses the pod, which names none."""
NOT_SKIPPED = both(
    _POD.get("metadata", "annotations", s.ANNOTATION_SKIP, default="") != "true",
    ~_LABELS.contains(s.LABEL_DEPLOYMENT),
    # Of a static pod: a node may not make one that names a ConfigMap.
    ~_POD.get("metadata", "annotations", default={}).contains(s.ANNOTATION_MIRROR),
    # It has no sh.
    _POD.get("spec", "os", "name", default="") != "windows",
    _POD.get("spec", "nodeSelector", "kubernetes.io/os", default="") != "windows",
)


def _name_in(item: Expr, names: tuple[str, ...]) -> Expr:
    return term(names).contains(item["name"])


def _has_gpu(container: Expr) -> Expr:
    limits = container.get("resources", "limits", default={})
    return limits.exists("r", lambda r: both(term(s.GPUS).contains(r), limits[r] != "0"))


def _is_somebody_elses(container: Expr) -> Expr:
    """An init container with a name of ours that no former pass has added."""
    return both(_name_in(container, s.CONTAINERS), ~marks.marked(container.get("command", default=[])))


def _waits(container: Expr) -> Expr:
    """Nothing of ours may come after it: it waits for another pod, or ends the network."""
    network = both(_name_in(container, s.NETWORK), ~_V("proxied"))
    return either(_name_in(container, s.WAITS), container["name"].startswith(s.WAIT_PREFIX), network)


def _is_proxy(container: Expr) -> Expr:
    return both(_name_in(container, s.PROXIES), container.get("restartPolicy", default="") == "Always")


def _hides_ours(mount: Expr) -> Expr:
    """A mount of the author's inside our folder."""
    path = mount["mountPath"]
    inside = either(term(s.HOMES).contains(path), *(path.startswith(f"{home}/") for home in s.HOMES))
    return both(~_name_in(mount, s.VOLUMES), inside)


_OWN_COMMAND = _SERVER.get("command", default=[])
_ENV, _MOUNTS = (_SERVER.get(key, default=[]) for key in ("env", "volumeMounts"))
_LONG = add(
    _V("own"), _SERVER.get("args", default=[]), _ENV.map("e", lambda e: add(e["name"], e.get("value", default="")))
)
_WANTED = _POD.get("metadata", "annotations", s.ANNOTATION_CONTAINER, default="")

VARIABLES: tuple[tuple[str, Expr], ...] = (
    ("wanted", choose(_WANTED == "", _RECIPE.get("container", default=""), _WANTED)),
    (
        "chosen",
        _POD["spec"]["containers"].indices(
            "i", lambda c: choose(_V("wanted") == "", _has_gpu(c), c["name"] == _V("wanted"))
        ),
    ),
    ("index", choose(_V("chosen").size() == 1, _V("chosen")[0], 0)),
    ("server", _POD["spec"]["containers"][_V("index")]),
    ("base", add("/spec/containers/", _V("index").string())),
    ("inits", _POD.get("spec", "initContainers", default=[])),
    ("again", _V("inits").exists("c", lambda c: c["name"] == s.WARM)),
    ("kept", _V("inits").filter("c", lambda c: ~_name_in(c, s.CONTAINERS))),
    ("volumes", _POD.get("spec", "volumes", default=[])),
    ("proxied", _V("inits").exists("c", _is_proxy)),
    ("waits", _V("kept").indices("i", _waits)),
    ("place", choose(_V("waits").size() == 0, _V("kept").size(), _V("waits")[0])),
    ("own", choose(both(_V("again"), marks.wrapped(_OWN_COMMAND)), _OWN_COMMAND.slice(4), _OWN_COMMAND)),
    ("modes", _RECIPE.get("modes", default=[])),
    (
        "command",
        choose(
            either(_V("own").size() != 0, _V("modes").contains(s.ENV_FILE_MODE)),
            _V("own"),
            _RECIPE.get("entrypoint", default=[]),
        ),
    ),
    ("mode", choose(_COMMAND.size() == 0, s.ENV_FILE_MODE, s.WRAP)),
    ("set", _ENV.filter("e", lambda e: ~marks.is_ours(e)).map("e", lambda e: e["name"])),
    ("warm", add("/spec/initContainers/", _V("place").string())),
    ("harvest", add("/spec/initContainers/", add(_V("place"), 1).string())),
    (
        "sidecar",
        both(
            _RECIPE.has("harvest"),
            ~service.guaranteed(_SERVER),
            ~term(s.GROUP_LABELS).exists("g", _LABELS.contains),
        ),
    ),
)

REFUSALS: tuple[tuple[str, Expr], ...] = (
    ("NoGpuContainer", _V("chosen").size() == 0),
    ("SeveralGpuContainers", _V("chosen").size() > 1),
    (
        "NamesTaken",
        either(
            _POD["spec"]["containers"].exists("c", lambda c: _name_in(c, s.CONTAINERS)),
            _V("inits").exists("c", _is_somebody_elses),
            both(_V("volumes").exists("v", lambda v: _name_in(v, s.VOLUMES)), ~_V("again")),
            _MOUNTS.exists("m", _hides_ours),
            _SERVER.get("volumeDevices", default=[]).exists("d", lambda d: d["devicePath"] == s.HOME),
        ),
    ),
    ("TooLarge", _LONG.join().bytes().size() > s.MAX_COPIED),
    ("Canary", marks.is_held(_SERVER)),
    ("EntrypointUnknown", both(_COMMAND.size() == 0, ~_V("modes").contains(s.ENV_FILE_MODE))),
)
"""Why a pod that asks for a profile stays plain, the first that holds."""


def _add(base: Expr, path: str, value: object) -> Expr:
    return operation("add", add(base, path), value=value)


def _strip(base: object, items: Expr, ours: Predicate) -> Expr:
    """Remove what a former pass has added to a list."""
    return items.last_first("i", ours).map("n", lambda n: operation("remove", add(base, n.string())))


def _copy(to: Expr, path: str = "") -> Expr:
    """A part of the server, all of it by default."""
    return operation("copy", add(to, path), source=add(_BASE, path))


def _mount(volume: str, path: str, *, read_only: bool = False) -> Json:
    return {"name": volume, "mountPath": path} | ({"readOnly": True} if read_only else {})


def _when(test: Expr, *operations: Expr) -> Expr:
    return choose(test, operations, [])


_FIELDS_OF_POD = {"HIPBMM_POD_UID": "metadata.uid", "HIPBMM_NODE_NAME": "spec.nodeName"}


def _field_env(name: str) -> Json:
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": _FIELDS_OF_POD[name]}}}


def _pair(entry: Expr) -> Json:
    return {"name": entry["name"], "value": entry["value"]}


def _env_of_warm() -> list[object]:
    """Variables that the pod's author has not set."""

    def put(entry: Json) -> Expr:
        return _add(_WARM, "/env/-", entry)

    wanted = _RECIPE.get("env", default=[]).filter("e", lambda e: ~_SET.contains(e["name"]))
    fixed = term(s.ENV_KEYS).filter("k", _SET.contains)
    return [
        wanted.map("e", lambda e: put(_pair(e))),
        *(choose(_SET.contains(each), [], [put(_field_env(each))]) for each in _FIELDS_OF_POD),
        [put({"name": "HIPBMM_MODE", "value": _V("mode")}), put({"name": marks.LAST_ENV, "value": fixed.join()})],
    ]


def _warm() -> list[object]:
    command = add(["sh", "-c", scripts.WARM, s.MARK], [_RECIPE["kernel"]["sha256"]], _COMMAND)

    def mount(volume: str, path: str, *, read_only: bool = True) -> Expr:
        return _add(_WARM, "/volumeMounts/-", _mount(volume, path, read_only=read_only))

    return [
        [
            _copy(_WARM),
            _add(_WARM, "/name", s.WARM),
            _add(_WARM, "/command", command),
            _add(_WARM, "/terminationMessagePath", "/dev/termination-log"),
            _add(_WARM, "/terminationMessagePolicy", "File"),
        ],
        *(_when(_SERVER.has(name), operation("remove", add(_WARM, f"/{name}"))) for name in marks.NOT_COPIED),
        *_env_of_warm(),
        [mount(s.HOME_VOLUME, s.HOME, read_only=False), mount(s.KERNEL_VOLUME, s.PROGRAM)],
        _when(_RECIPE.has("mirrors"), mount(s.MIRROR_VOLUME, s.MIRROR)),
        _when(_RECIPE.has("claim"), mount(s.STORE_VOLUME, s.STORE, read_only=False)),
        _when(_RECIPE.has("modelConfig"), mount(s.MODEL_VOLUME, s.MODEL)),
    ]


def _harvest() -> Expr:
    """Beside the server, as the same user, without its GPUs, its secrets and its volumes."""
    home, store = _mount(s.HOME_VOLUME, s.HOME), _mount(s.STORE_VOLUME, s.STORE)
    # The API server gives the pod's token to each container that has nothing at this path.
    no_token = _mount(s.HOME_VOLUME, s.TOKEN, read_only=True)
    container = {
        "name": s.HARVEST,
        "image": _SERVER["image"],
        "command": ["sh", "-c", scripts.HARVEST, s.MARK],
        "env": add([_field_env("HIPBMM_POD_UID")], _RECIPE.get("env", default=[]).map("e", _pair)),
        "volumeMounts": choose(_RECIPE.has("claim"), [home, no_token, store], [home, no_token]),
        "resources": choose(service.bounded(_SERVER), _RECIPE["harvest"]["resources"], {}),
        "restartPolicy": "Always",
    }
    to = _V("harvest")
    copies = [_when(_SERVER.has(key), _copy(to, f"/{key}")) for key in ("imagePullPolicy", "securityContext")]
    return choose(_V("sidecar"), add([operation("add", to, value=container)], *copies), [])


def _server() -> list[object]:
    """Last, so that the copies have none of it."""
    wrap = add(["sh", "-c", scripts.SERVER, s.MARK], _COMMAND)
    free = term(s.ENV_KEYS).filter("k", lambda k: ~_SET.contains(k))

    def from_file(k: Expr) -> Expr:
        source = {"volumeName": s.HOME_VOLUME, "path": s.ENV_FILE, "key": k, "optional": True}
        return _add(_BASE, "/env/-", {"name": k, "valueFrom": {"fileKeyRef": source}})

    return [
        [_add(_BASE, "/volumeMounts/-", _mount(s.HOME_VOLUME, s.HOME))],
        choose(_V("mode") == s.WRAP, [_add(_BASE, "/command", wrap)], free.map("k", from_file)),
    ]


def _volumes() -> list[object]:
    def volume(name: str, **source: object) -> Expr:
        return operation("add", "/spec/volumes/-", value={"name": name, **source})

    def config(name: Expr) -> Json:
        return {"name": name, "optional": True}

    mirrors = _RECIPE["mirrors"].map("m", lambda m: {"configMap": config(m)})
    return [
        [
            volume(s.HOME_VOLUME, emptyDir={}),
            volume(s.KERNEL_VOLUME, configMap=config(_RECIPE["kernel"]["configMap"])),
        ],
        _when(_RECIPE.has("mirrors"), volume(s.MIRROR_VOLUME, projected={"sources": mirrors})),
        _when(_RECIPE.has("claim"), volume(s.STORE_VOLUME, persistentVolumeClaim={"claimName": _RECIPE["claim"]})),
        _when(_RECIPE.has("modelConfig"), volume(s.MODEL_VOLUME, configMap=config(_RECIPE["modelConfig"]))),
    ]


def _ensure(of: Expr, key: str, path: object) -> Expr:
    return choose(of.has(key), [], [operation("add", path, value=[])])


def _stripped() -> Expr:
    return add(
        _strip("/spec/initContainers/", _V("inits"), lambda c: _name_in(c, s.CONTAINERS)),
        _strip("/spec/volumes/", _V("volumes"), lambda v: _name_in(v, s.VOLUMES)),
        _strip(add(_BASE, "/volumeMounts/"), _MOUNTS, lambda m: _name_in(m, s.VOLUMES)),
        _strip(add(_BASE, "/env/"), _ENV, marks.is_ours),
    )


def _operations() -> Expr:
    return add(
        choose(_V("again"), _stripped(), []),
        _ensure(_POD["spec"], "initContainers", "/spec/initContainers"),
        _ensure(_POD["spec"], "volumes", "/spec/volumes"),
        _ensure(_SERVER, "env", add(_BASE, "/env")),
        _ensure(_SERVER, "volumeMounts", add(_BASE, "/volumeMounts")),
        *_warm(),
        _harvest(),
        *_server(),
        *_volumes(),
    )


def _undone() -> Expr:
    """Nothing of ours is left, not even what a pass has added before somebody gave the server another image."""
    wrapped = marks.wrapped(_OWN_COMMAND)
    return add(_stripped(), _when(wrapped, _add(_BASE, "/command", _V("own"))))


_REFUSED = either(*(test for _, test in REFUSALS))
_OTHERWISE = either(*(test for reason, test in REFUSALS if reason not in ("Canary", "EntrypointUnknown")))
_HELD = both(_V("again"), marks.is_held(_SERVER), ~_OTHERWISE)  # the cheap ones first: the API server counts each step
OPERATIONS = choose(_HELD, _undone(), choose(_REFUSED, [], _operations()))
"""The patch: empty for a pod that stays plain."""
