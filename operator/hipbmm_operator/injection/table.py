"""The table: which pods are injected, and each operation. CEL and Python come from it alike. Pure.

Variables are computed in this order, each from those before it. `REFUSALS` say why a pod stays plain; no refusal may
look at what we add, or the second pass of admission would undo the first.
"""

from hipbmm_operator.injection import marks, scripts, service
from hipbmm_operator.injection import spelling as s
from hipbmm_operator.injection.expr import (
    Expr,
    Predicate,
    add,
    at,
    both,
    choose,
    comma_separated,
    constant,
    contains,
    each,
    either,
    equal,
    every,
    field,
    has,
    indices,
    last_first,
    less,
    listed,
    made,
    negate,
    operation,
    optional,
    part,
    root,
    select,
    size,
    some,
    starts,
    text,
    utf8,
    variable,
)

_POD, _PROFILE = root("object"), root("params")
_RECIPE = field(_PROFILE, "status", "injection")
_V = variable

READY = both(
    optional(_PROFILE, "status", "injection", "ready", default=False),
    equal(optional(_PROFILE, "status", "injection", "format", default=0), constant(s.FORMAT)),
)
"""The operator has prepared everything, and this admission understands it."""
_LABELS = optional(_POD, "metadata", "labels", default={})
BY_LABEL = equal(optional(_POD, "metadata", "labels", s.LABEL_PROFILE, default=""), field(_PROFILE, "metadata", "name"))
"""The pod names this profile."""
_MATCH = optional(_PROFILE, "spec", "match", "podLabels", default={})
BY_MATCH = both(
    negate(contains(_LABELS, constant(s.LABEL_PROFILE))),
    negate(equal(size(_MATCH), constant(0))),
    every(_MATCH, "k", lambda k: both(contains(_LABELS, k), equal(at(_LABELS, k), at(_MATCH, k)))),
)
"""The profile chooses the pod, which names none."""
NOT_SKIPPED = both(
    negate(equal(optional(_POD, "metadata", "annotations", s.ANNOTATION_SKIP, default=""), constant("true"))),
    negate(contains(_LABELS, constant(s.LABEL_DEPLOYMENT))),
    # Of a static pod: a node may not make one that names a ConfigMap.
    negate(contains(optional(_POD, "metadata", "annotations", default={}), constant(s.ANNOTATION_MIRROR))),
    # It has no sh.
    negate(equal(optional(_POD, "spec", "os", "name", default=""), constant("windows"))),
    negate(equal(optional(_POD, "spec", "nodeSelector", "kubernetes.io/os", default=""), constant("windows"))),
)


def _name_in(item: Expr, names: tuple[str, ...]) -> Expr:
    return contains(constant(names), field(item, "name"))


def _has_gpu(container: Expr) -> Expr:
    limits = optional(container, "resources", "limits", default={})
    return some(limits, "r", lambda r: both(contains(constant(s.GPUS), r), negate(equal(at(limits, r), constant("0")))))


def _is_somebody_elses(container: Expr) -> Expr:
    """An init container with a name of ours that no former pass has added."""
    return both(_name_in(container, s.CONTAINERS), negate(marks.marked(optional(container, "command", default=[]))))


def _waits(container: Expr) -> Expr:
    """Nothing of ours may come after it: it waits for another pod, or ends the network."""
    name = field(container, "name")
    network = both(contains(constant(s.NETWORK), name), negate(_V("proxied")))
    return either(contains(constant(s.WAITS), name), starts(name, s.WAIT_PREFIX), network)


_OWN_COMMAND = optional(_V("server"), "command", default=[])
_LONG = add(
    _V("own"),
    optional(_V("server"), "args", default=[]),
    each(
        optional(_V("server"), "env", default=[]),
        "e",
        lambda e: add(field(e, "name"), optional(e, "value", default="")),
    ),
)
_USERS_ENV = select(optional(_V("server"), "env", default=[]), "e", lambda e: negate(marks.is_ours(e)))
_WANTED = optional(_POD, "metadata", "annotations", s.ANNOTATION_CONTAINER, default="")
_FIRST_WAIT = indices(_V("kept"), "i", _waits)

VARIABLES: tuple[tuple[str, Expr], ...] = (
    ("wanted", choose(equal(_WANTED, constant("")), optional(_RECIPE, "container", default=""), _WANTED)),
    (
        "chosen",
        indices(
            field(_POD, "spec", "containers"),
            "i",
            lambda c: choose(equal(_V("wanted"), constant("")), _has_gpu(c), equal(field(c, "name"), _V("wanted"))),
        ),
    ),
    ("index", choose(equal(size(_V("chosen")), constant(1)), at(_V("chosen"), constant(0)), constant(0))),
    ("server", at(field(_POD, "spec", "containers"), _V("index"))),
    ("base", add(constant("/spec/containers/"), text(_V("index")))),
    ("inits", optional(_POD, "spec", "initContainers", default=[])),
    ("again", some(_V("inits"), "c", lambda c: equal(field(c, "name"), constant(s.WARM)))),
    ("kept", select(_V("inits"), "c", lambda c: negate(_name_in(c, s.CONTAINERS)))),
    ("volumes", optional(_POD, "spec", "volumes", default=[])),
    (
        "proxied",
        some(
            _V("inits"),
            "c",
            lambda c: both(_name_in(c, s.PROXIES), equal(optional(c, "restartPolicy", default=""), constant("Always"))),
        ),
    ),
    ("waits", _FIRST_WAIT),
    ("place", choose(equal(size(_V("waits")), constant(0)), size(_V("kept")), at(_V("waits"), constant(0)))),
    ("own", choose(marks.wrapped(_OWN_COMMAND), part(_OWN_COMMAND, constant(4), size(_OWN_COMMAND)), _OWN_COMMAND)),
    ("modes", optional(_RECIPE, "modes", default=[])),
    (
        "command",
        choose(
            either(negate(equal(size(_V("own")), constant(0))), contains(_V("modes"), constant(s.ENV_FILE_MODE))),
            _V("own"),
            optional(_RECIPE, "entrypoint", default=[]),
        ),
    ),
    ("mode", choose(equal(size(_V("command")), constant(0)), constant(s.ENV_FILE_MODE), constant(s.WRAP))),
    ("set", each(_USERS_ENV, "e", lambda e: field(e, "name"))),
    ("warm", add(constant("/spec/initContainers/"), text(_V("place")))),
    ("harvest", add(constant("/spec/initContainers/"), text(add(_V("place"), constant(1))))),
    (
        "sidecar",
        both(
            has(_RECIPE, "harvest"),
            negate(service.guaranteed(_V("server"))),
            negate(some(constant(s.GROUP_LABELS), "g", lambda g: contains(_LABELS, g))),
        ),
    ),
)

REFUSALS: tuple[tuple[str, Expr], ...] = (
    ("NoGpuContainer", equal(size(_V("chosen")), constant(0))),
    ("SeveralGpuContainers", less(constant(1), size(_V("chosen")))),
    (
        "NamesTaken",
        either(
            some(field(_POD, "spec", "containers"), "c", lambda c: _name_in(c, s.CONTAINERS)),
            some(_V("inits"), "c", _is_somebody_elses),
            both(
                some(_V("volumes"), "v", lambda v: _name_in(v, s.VOLUMES)),
                negate(_V("again")),
            ),
            some(
                optional(_V("server"), "volumeMounts", default=[]),
                "m",
                lambda m: both(
                    negate(_name_in(m, s.VOLUMES)),
                    either(
                        contains(constant(s.HOMES), field(m, "mountPath")),
                        *(starts(field(m, "mountPath"), f"{home}/") for home in s.HOMES),
                    ),
                ),
            ),
            some(
                optional(_V("server"), "volumeDevices", default=[]),
                "d",
                lambda d: equal(field(d, "devicePath"), constant(s.HOME)),
            ),
        ),
    ),
    ("TooLarge", less(constant(s.MAX_COPIED), size(utf8(comma_separated(_LONG))))),
    ("Canary", contains(optional(_RECIPE, "heldImages", default=[]), optional(_V("server"), "image", default=""))),
    (
        "EntrypointUnknown",
        both(equal(size(_V("command")), constant(0)), negate(contains(_V("modes"), constant(s.ENV_FILE_MODE)))),
    ),
)
"""Why a pod that asks for a profile stays plain, the first that holds."""

_NOTHING = constant([])


def _under(base: Expr, path: str) -> Expr:
    return add(base, constant(path))


def _set(base: Expr, path: str, value: Expr) -> Expr:
    return operation("add", _under(base, path), value=value)


def _strip(base: Expr, items: Expr, ours: Predicate) -> Expr:
    """Remove what a former pass has added to a list."""
    return each(last_first(items, "i", ours), "n", lambda n: operation("remove", add(base, text(n))))


def _copy(to: Expr, path: str = "") -> Expr:
    """A part of the server, all of it by default."""
    return operation("copy", _under(to, path), source=_under(_V("base"), path))


def _mount(volume: str, path: str, *, read_only: bool = False) -> Expr:
    return constant({"name": volume, "mountPath": path} | ({"readOnly": True} if read_only else {}))


def _when(field_name: str, *operations: Expr) -> Expr:
    """Only if the recipe has it."""
    return choose(has(_RECIPE, field_name), listed(*operations), _NOTHING)


_FIELDS_OF_POD = {"HIPBMM_POD_UID": "metadata.uid", "HIPBMM_NODE_NAME": "spec.nodeName"}


def _field_env(name: str) -> Expr:
    reference = {"apiVersion": "v1", "fieldPath": _FIELDS_OF_POD[name]}
    return constant({"name": name, "valueFrom": {"fieldRef": reference}})


def _env_of_warm() -> list[Expr]:
    """Variables that the pod's author has not set."""
    to = _under(_V("warm"), "/env/-")

    def add_pair(e: Expr) -> Expr:
        return operation("add", to, value=made(name=field(e, "name"), value=field(e, "value")))

    wanted = select(optional(_RECIPE, "env", default=[]), "e", lambda e: negate(contains(_V("set"), field(e, "name"))))
    fixed = select(constant(s.ENV_KEYS), "k", lambda k: contains(_V("set"), k))
    return [
        each(wanted, "e", add_pair),
        *(
            choose(contains(_V("set"), constant(name)), _NOTHING, listed(operation("add", to, value=_field_env(name))))
            for name in _FIELDS_OF_POD
        ),
        listed(
            operation("add", to, value=made(name=constant("HIPBMM_MODE"), value=_V("mode"))),
            operation("add", to, value=made(name=constant(marks.LAST_ENV), value=comma_separated(fixed))),
        ),
    ]


def _warm() -> list[Expr]:
    command = constant(["sh", "-c", scripts.WARM, s.MARK])
    mounts = _under(_V("warm"), "/volumeMounts/-")
    return [
        listed(
            _copy(_V("warm")),
            _set(_V("warm"), "/name", constant(s.WARM)),
            _set(
                _V("warm"),
                "/command",
                add(command, listed(field(_RECIPE, "kernel", "sha256")), _V("command")),
            ),
            _set(_V("warm"), "/terminationMessagePath", constant("/dev/termination-log")),
            _set(_V("warm"), "/terminationMessagePolicy", constant("File")),
        ),
        *(
            choose(has(_V("server"), name), listed(operation("remove", _under(_V("warm"), f"/{name}"))), _NOTHING)
            for name in marks.NOT_COPIED
        ),
        *_env_of_warm(),
        listed(
            operation("add", mounts, value=_mount(s.HOME_VOLUME, s.HOME)),
            operation("add", mounts, value=_mount(s.KERNEL_VOLUME, s.PROGRAM, read_only=True)),
        ),
        _when("mirrors", operation("add", mounts, value=_mount(s.MIRROR_VOLUME, s.MIRROR, read_only=True))),
        _when("claim", operation("add", mounts, value=_mount(s.STORE_VOLUME, s.STORE))),
        _when("modelConfig", operation("add", mounts, value=_mount(s.MODEL_VOLUME, s.MODEL, read_only=True))),
    ]


def _harvest() -> Expr:
    """Beside the server, as the same user, without its GPUs, its secrets and its volumes."""
    home, store = _mount(s.HOME_VOLUME, s.HOME), _mount(s.STORE_VOLUME, s.STORE)
    # The API server gives the pod's token to each container that has nothing at this path.
    no_token = _mount(s.HOME_VOLUME, s.TOKEN, read_only=True)
    env = each(
        optional(_RECIPE, "env", default=[]), "e", lambda e: made(name=field(e, "name"), value=field(e, "value"))
    )
    container = made(
        name=constant(s.HARVEST),
        image=field(_V("server"), "image"),
        command=constant(["sh", "-c", scripts.HARVEST, s.MARK]),
        env=add(listed(_field_env("HIPBMM_POD_UID")), env),
        volumeMounts=choose(has(_RECIPE, "claim"), listed(home, no_token, store), listed(home, no_token)),
        resources=choose(service.bounded(_V("server")), field(_RECIPE, "harvest", "resources"), constant({})),
        restartPolicy=constant("Always"),
    )
    copies = [
        choose(has(_V("server"), name), listed(_copy(_V("harvest"), f"/{name}")), _NOTHING)
        for name in ("imagePullPolicy", "securityContext")
    ]
    return choose(_V("sidecar"), add(listed(operation("add", _V("harvest"), value=container)), *copies), _NOTHING)


def _server() -> list[Expr]:
    """Last, so that the copies have none of it."""
    wrap = add(constant(["sh", "-c", scripts.SERVER, s.MARK]), _V("command"))
    free = select(constant(s.ENV_KEYS), "k", lambda k: negate(contains(_V("set"), k)))

    def from_file(k: Expr) -> Expr:
        source = made(
            volumeName=constant(s.HOME_VOLUME), path=constant(s.ENV_FILE), key=k, optional=constant(value=True)
        )
        return _set(_V("base"), "/env/-", made(name=k, valueFrom=made(fileKeyRef=source)))

    return [
        listed(_set(_V("base"), "/volumeMounts/-", _mount(s.HOME_VOLUME, s.HOME))),
        choose(
            equal(_V("mode"), constant(s.WRAP)),
            listed(_set(_V("base"), "/command", wrap)),
            each(free, "k", from_file),
        ),
    ]


def _volumes() -> list[Expr]:
    to = constant("/spec/volumes/-")
    kernel = made(name=field(_RECIPE, "kernel", "configMap"), optional=constant(value=True))
    mirrors = each(
        field(_RECIPE, "mirrors"), "m", lambda m: made(configMap=made(name=m, optional=constant(value=True)))
    )
    model = made(name=field(_RECIPE, "modelConfig"), optional=constant(value=True))

    def volume(name: str, **source: Expr) -> Expr:
        return operation("add", to, value=made(name=constant(name), **source))

    return [
        listed(volume(s.HOME_VOLUME, emptyDir=constant({})), volume(s.KERNEL_VOLUME, configMap=kernel)),
        _when("mirrors", volume(s.MIRROR_VOLUME, projected=made(sources=mirrors))),
        _when("claim", volume(s.STORE_VOLUME, persistentVolumeClaim=made(claimName=field(_RECIPE, "claim")))),
        _when("modelConfig", volume(s.MODEL_VOLUME, configMap=model)),
    ]


def _ensure(of: Expr, key: str, path: Expr) -> Expr:
    return choose(has(of, key), _NOTHING, listed(operation("add", path, value=_NOTHING)))


def _stripped(mounts: Expr, env: Expr) -> Expr:
    return add(
        _strip(constant("/spec/initContainers/"), _V("inits"), lambda c: _name_in(c, s.CONTAINERS)),
        _strip(constant("/spec/volumes/"), _V("volumes"), lambda v: _name_in(v, s.VOLUMES)),
        _strip(_under(_V("base"), "/volumeMounts/"), mounts, lambda m: _name_in(m, s.VOLUMES)),
        _strip(_under(_V("base"), "/env/"), env, marks.is_ours),
    )


def _operations() -> Expr:
    mounts, env = (optional(_V("server"), key, default=[]) for key in ("volumeMounts", "env"))
    spec = field(_POD, "spec")
    return add(
        choose(_V("again"), _stripped(mounts, env), _NOTHING),
        _ensure(spec, "initContainers", constant("/spec/initContainers")),
        _ensure(spec, "volumes", constant("/spec/volumes")),
        _ensure(_V("server"), "env", _under(_V("base"), "/env")),
        _ensure(_V("server"), "volumeMounts", _under(_V("base"), "/volumeMounts")),
        *_warm(),
        _harvest(),
        *_server(),
        *_volumes(),
    )


OPERATIONS = choose(either(*(test for _, test in REFUSALS)), _NOTHING, _operations())
"""The patch: empty for a pod that stays plain."""
