"""How an injected pod is recognised, and whether it was changed since. Pure.

The API server runs a policy again after each pod that it has changed, and the table costs more the second time: it
strips, then adds. So `SETTLED` is a condition of the policy. One that fails in the second pass ends that pass alone
(k8s.io/apiserver, policy/mutating/dispatcher.go). It is false where there is doubt: the table decides then.
"""

from hipbmm_operator.injection import spelling as s
from hipbmm_operator.injection.expr import Expr, both, choose, either, root, term

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
    return entry.get("valueFrom", "fileKeyRef", "volumeName", default="") == s.HOME_VOLUME


def marked(command: Expr) -> Expr:
    """Whether a command is one of our shell texts."""
    return both(command.size() > 3, command[3] == s.MARK)  # noqa: PLR2004  # sh -c TEXT $0


def wrapped(command: Expr) -> Expr:
    """Whether it is a server's own, behind our shell text."""
    return both(command.size() > 4, marked(command))  # noqa: PLR2004  # a word more


def is_held(server: Expr) -> Expr:
    """Whether its image is one whose new pods stay plain for now."""
    held = root("params").get("status", "injection", "heldImages", default=[])
    return held.contains(server.get("image", default=""))


def _begins(items: Expr, first: Expr) -> Expr:
    return both(~(items.size() < first.size()), items.slice(0, first.size()) == first)


def _same_command(server: Expr, warm: Expr) -> Expr:
    argv, command = warm.get("command", default=[]), server["command"]
    own = argv.slice(_COMMAND_SIZE)
    return both(
        wrapped(argv),
        argv[4] == root("params")["status"]["injection"]["kernel"]["sha256"],
        choose(server.has("command"), both(wrapped(command), own == command.slice(4)), own == []),
    )


def _same_env(server: Expr, warm: Expr) -> Expr:
    env = warm.get("env", default=[])
    users = term([server.get("env", default=[]).filter("e", lambda e: ~is_ours(e))])
    wanted = root("params").get("status", "injection", "env", default=[])
    return both(
        env.size() != 0,
        users.exists("u", lambda u: _begins(env, u)),
        env.last()["name"] == LAST_ENV,
        wanted.all("e", lambda e: env.contains({"name": e["name"], "value": e["value"]})),
    )


def _same_mounts(server: Expr, warm: Expr) -> Expr:
    mounts, ours = server["volumeMounts"], warm.get("volumeMounts", default=[])
    return both(
        mounts.last()["name"] == s.HOME_VOLUME,
        _begins(ours, mounts),
        ours.slice(mounts.size()).all("m", lambda m: term(s.VOLUMES).contains(m["name"])),
    )


def _copied(server: Expr, warm: Expr) -> Expr:
    return both(
        warm["name"] == s.WARM,
        ~is_held(server),
        _same_command(server, warm),
        _same_mounts(server, warm),
        _same_env(server, warm),
        server.without(_ITS_OWN + NOT_COPIED) == warm.without(_ITS_OWN),
    )


def _may_wait(container: Expr) -> Expr:
    """What has a place behind ours, perhaps."""
    name = container["name"]
    return either(term(s.WAITS + s.NETWORK).contains(name), name.startswith(s.WAIT_PREFIX))


def _settled() -> Expr:
    spec = root("object")["spec"]
    inits = spec["initContainers"]

    def serves(container: Expr) -> Expr:
        return container.get("volumeMounts", default=[]).exists("m", lambda m: m["name"] == s.HOME_VOLUME)

    def is_copied(container: Expr) -> Expr:
        return both(serves(container), inits.exists("w", lambda warm: _copied(container, warm)))

    return both(
        spec.has("initContainers"),
        term(s.CONTAINERS).contains(inits.last()["name"]),
        ~inits.exists("i", _may_wait),
        spec["containers"].exists("c", is_copied),
    )


SETTLED = _settled()
"""The pod has been injected with this recipe, `hipbmm-warm` is the server's copy, and comes after all others."""
