"""By what an injected pod is known, and whether nobody has changed it since. Pure.

The API server runs a policy again after each pod that it has changed, and the table costs more the second time: it
strips, then adds. So `SETTLED` is a condition of the policy. One that fails in the second pass ends that pass alone
(k8s.io/apiserver, policy/mutating/dispatcher.go). It is false where there is doubt: the table decides then.
"""

from hipbmm_operator.injection import spelling as s
from hipbmm_operator.injection.expr import (
    Expr,
    at,
    both,
    choose,
    constant,
    contains,
    either,
    equal,
    every,
    field,
    has,
    last,
    less,
    listed,
    made,
    negate,
    optional,
    part,
    root,
    select,
    size,
    some,
    starts,
    without,
)

NOT_COPIED = (
    "ports",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
    "restartPolicy",
    "restartPolicyRules",
    "resizePolicy",
    "stdin",
    "stdinOnce",
    "tty",
)
"""Of a server, not of a container that runs before it."""
_ITS_OWN = ("name", "command", "env", "volumeMounts", "terminationMessagePath", "terminationMessagePolicy")
"""Of `hipbmm-warm`."""
LAST_ENV = "HIPBMM_FIXED_ENV"
"""Of its variables, the last one."""
_COMMAND_SIZE = 5
"""Words of its command before the server's: `sh -c TEXT $0` and the sha256 of the program."""


def is_ours(entry: Expr) -> Expr:
    """A variable that reads our file."""
    volume = optional(entry, "valueFrom", "fileKeyRef", "volumeName", default="")
    return equal(volume, constant(s.HOME_VOLUME))


def marked(command: Expr) -> Expr:
    """Whether a command is one of our shell texts."""
    return both(less(constant(3), size(command)), equal(at(command, constant(3)), constant(s.MARK)))


def wrapped(command: Expr) -> Expr:
    """Whether it is a server's own, behind our shell text."""
    return both(less(constant(4), size(command)), marked(command))


def _begins(items: Expr, first: Expr) -> Expr:
    return both(negate(less(size(items), size(first))), equal(part(items, constant(0), size(first)), first))


def _same_command(server: Expr, warm: Expr) -> Expr:
    argv = optional(warm, "command", default=[])
    own = part(argv, constant(_COMMAND_SIZE), size(argv))
    command = field(server, "command")
    recipe = field(root("params"), "status", "injection", "kernel", "sha256")
    return both(
        wrapped(argv),
        equal(at(argv, constant(4)), recipe),
        choose(
            has(server, "command"),
            both(wrapped(command), equal(own, part(command, constant(4), size(command)))),
            equal(own, constant([])),
        ),
    )


def _same_env(server: Expr, warm: Expr) -> Expr:
    env = optional(warm, "env", default=[])
    users = listed(select(optional(server, "env", default=[]), "e", lambda e: negate(is_ours(e))))
    wanted = optional(root("params"), "status", "injection", "env", default=[])
    return both(
        negate(equal(size(env), constant(0))),
        some(users, "u", lambda u: _begins(env, u)),
        equal(field(last(env), "name"), constant(LAST_ENV)),
        every(wanted, "e", lambda e: contains(env, made(name=field(e, "name"), value=field(e, "value")))),
    )


def _same_mounts(server: Expr, warm: Expr) -> Expr:
    mounts, ours = field(server, "volumeMounts"), optional(warm, "volumeMounts", default=[])
    return both(
        equal(field(last(mounts), "name"), constant(s.HOME_VOLUME)),
        _begins(ours, mounts),
        every(part(ours, size(mounts), size(ours)), "m", lambda m: contains(constant(s.VOLUMES), field(m, "name"))),
    )


def _copied(server: Expr, warm: Expr) -> Expr:
    return both(
        equal(field(warm, "name"), constant(s.WARM)),
        _same_command(server, warm),
        _same_mounts(server, warm),
        _same_env(server, warm),
        equal(without(server, _ITS_OWN + NOT_COPIED), without(warm, _ITS_OWN)),
    )


def _may_wait(container: Expr) -> Expr:
    """What has a place behind ours, perhaps."""
    name = field(container, "name")
    return either(contains(constant(s.WAITS + s.NETWORK), name), starts(name, s.WAIT_PREFIX))


def _settled() -> Expr:
    spec = field(root("object"), "spec")
    inits = field(spec, "initContainers")

    def serves(container: Expr) -> Expr:
        mounts = optional(container, "volumeMounts", default=[])
        return some(mounts, "m", lambda m: equal(field(m, "name"), constant(s.HOME_VOLUME)))

    return both(
        has(spec, "initContainers"),
        contains(constant(s.CONTAINERS), field(last(inits), "name")),
        negate(some(inits, "i", _may_wait)),
        some(
            field(spec, "containers"),
            "c",
            lambda c: both(serves(c), some(inits, "w", lambda w: _copied(c, w))),
        ),
    )


SETTLED = _settled()
"""The pod has been injected with this recipe, `hipbmm-warm` is the server's copy, and comes after all others."""
