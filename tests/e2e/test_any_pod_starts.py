"""However a server of somebody else is started, it serves tuned rows and stays what its author wrote.

Cases 3, 12, 13 and 14 of the acceptance of injection (tests/e2e/README.md), in real pods.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e import foreign
from tests.e2e.foreign import FLAGS, MODEL, Place, pod_spec, server

from demo.cluster import Cluster

pytestmark = pytest.mark.timeout(900)

Json = dict[str, Any]

TEXT = " ".join(FLAGS)
RESTRICTED = {
    "runAsUser": 1234,
    "runAsNonRoot": True,
    "readOnlyRootFilesystem": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
}
CONFIG_FILE = {
    "model": MODEL,
    "max-num-seqs": 4,
    "max-num-batched-tokens": 4,
    "cudagraph-capture-sizes": [1, 2, 4],
}
KSERVE = """if [ "$KSERVE_INFER_ROCE" = "true" ]; then echo RoCE; fi
eval "exec vllm serve /mnt/models --served-model-name {MODEL} --port 8000 ${VLLM_ADDITIONAL_ARGS} $@"
""".replace("{MODEL}", MODEL)


def copied(image: str, volume: str, mount: str, to: str) -> Json:
    """An init container of the author that brings the model, as KServe's storage-initializer does."""
    mounts = [{"name": "model", "mountPath": "/from"}, {"name": volume, "mountPath": mount}]
    command = ["sh", "-c", f"mkdir -p {to} && cp /from/config.json {to}/config.json"]
    made = {"name": "storage-initializer", "image": image, "command": command, "volumeMounts": mounts}
    return made | {"imagePullPolicy": "IfNotPresent"}


def mounts(*more: tuple[str, str]) -> list[Json]:
    """Where the server sees what."""
    return [{"name": name, "mountPath": path} for name, path in more]


def entrypoint(image: str) -> Json:
    """Arguments alone, an unknown user, nothing to write to, a file of the image by its relative name."""
    arguments = [MODEL, *FLAGS, "--chat-template", "versions.txt"]
    return pod_spec(server(image, args=arguments, securityContext=RESTRICTED))


def configured(image: str) -> Json:
    """`--config` and `$(NAME)`."""
    changes = {"args": ["--config", "$(WHERE)/serve.yaml"], "env": [{"name": "WHERE", "value": "/serve"}]}
    mounted = mounts(("model", MODEL), ("serve", "/serve"))
    volume = {"name": "serve", "configMap": {"name": "serve"}}
    return pod_spec(server(image, command=["vllm", "serve"], volumeMounts=mounted, **changes), volumes=[volume])


def cached(image: str) -> Json:
    """A model by its name, in a Hugging Face cache on a claim."""
    snapshot = "/cache/hub/models--acme--small/snapshots/main"
    volume = {"name": "cache", "persistentVolumeClaim": {"claimName": "cache"}}
    container = server(
        image,
        args=["acme/small", *FLAGS, "--served-model-name", MODEL],
        env=[{"name": "HF_HOME", "value": "/cache"}],
        volumeMounts=mounts(("cache", "/cache")),
    )
    return pod_spec(container, volumes=[volume], initContainers=[copied(image, "cache", "/cache", snapshot)])


def kserve(image: str) -> Json:
    """LLMInferenceService: bash evaluates the arguments, an init container brings the model."""
    container = server(
        image,
        command=["/bin/bash", "-c"],
        args=[KSERVE, "--", *FLAGS],
        env=[{"name": "VLLM_ADDITIONAL_ARGS", "value": ""}],
        volumeMounts=mounts(("models", "/mnt/models")),
    )
    init = copied(image, "models", "/mnt/models", "/mnt/models")
    return pod_spec(container, volumes=[{"name": "models", "emptyDir": {}}], initContainers=[init])


def shell(text: str, **env: str) -> Any:  # noqa: ANN401  # a maker of pods
    """`sh -c TEXT`."""
    variables = [{"name": name, "value": value} for name, value in env.items()]
    return lambda image: pod_spec(server(image, command=["sh", "-c", text], args=None, env=variables))


FORMS = {
    "entrypoint": entrypoint,
    "command": lambda image: pod_spec(server(image, command=["vllm", "serve"])),
    "shell": shell(f"vllm serve {MODEL} {TEXT}"),
    "variables": shell(
        "exec vllm serve ${WHERE:-" + MODEL + "} --max-num-seqs $SEQS --max-num-batched-tokens ${SEQS}"
        " --cudagraph-capture-sizes 1 2 4",
        SEQS="4",
    ),
    "configured": configured,
    "cached": cached,
    "kserve": kserve,
}


@pytest.fixture(scope="module")
def place(cluster: Cluster) -> Iterator[Place]:
    if not cluster.simulated:
        pytest.skip("counts the simulator's own look-ups")
    with foreign.place(cluster, "e2e-any-starts") as found:
        data = {"serve.yaml": json.dumps(CONFIG_FILE)}
        found.kubectl.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "serve"}, "data": data})
        claim = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Mi"}}}
        kind = {"apiVersion": "v1", "kind": "PersistentVolumeClaim"}
        found.kubectl.apply(kind | {"metadata": {"name": "cache"}, "spec": claim})
        found.profile("small")
        found.deploy("entrypoint", "small", entrypoint(found.image))
        found.proved("small")
        first = found.ready("entrypoint")
        assert foreign.report(first)["source"] == "Tuned"
        found.becomes("small", "rows", lambda body: body["status"]["pods"]["warmProgress"] == "1/1")
        for name, make in FORMS.items():
            if name != "entrypoint":
                found.deploy(name, "small", make(found.image))
        yield found


@pytest.mark.parametrize("form", FORMS)
def test_it_serves_tuned_and_no_container_starts_again(place: Place, form: str) -> None:
    """Cases 12, 13, 14: plan found, all problems tuned, the server's calls run verified indices."""
    pod = place.ready(form)
    found = foreign.report(pod)
    assert (found["state"], found["tuned"], found["problems"]) == ("Complete", foreign.PROBLEMS, foreign.PROBLEMS)
    place.serves_tuned(pod)
    assert set(foreign.restarts(pod).values()) == {0}


@pytest.mark.parametrize("form", [form for form in FORMS if form != "entrypoint"])
def test_its_table_is_that_of_the_plain_command_line(place: Place, form: str) -> None:
    """Case 14: `$(VAR)`, `${V:-d}`, `--config`, a claim, a Hugging Face cache, /mnt/models: the plan is the same."""
    one, other = (place.whole_report(place.ready(name)) for name in ("command", form))
    assert one["digest"] == other["digest"]
    assert (other["source"], other["children"], other["torchImported"]) == ("Restored", 0, False)


def test_the_author_s_command_arguments_user_and_directory_stay(place: Place) -> None:
    """Case 12: the pod has no command, its own arguments, user 1234, a read-only root, the image's WORKDIR."""
    pod = place.ready("entrypoint")
    stored, written = foreign.own_container(pod), entrypoint(place.image)["containers"][0]
    assert "command" not in stored
    assert {key: stored[key] for key in ("args", "securityContext")} == {
        key: written[key] for key in ("args", "securityContext")
    }
    seen = json.loads(
        place.python(
            pod,
            "import json, os; print(json.dumps([os.getuid(), os.readlink('/proc/1/cwd'), os.access('/app', os.W_OK),"
            " open('/proc/1/cmdline').read().split(chr(0))[-10:-1], os.listdir('/app')]))",
        )
    )
    assert seen[:3] == [1234, "/app", False]
    assert seen[3] == written["args"][-9:]
    assert seen[4] == ["versions.txt"]  # no table of AITER's in the user's directory
    assert place.environment(pod)["PYTHONPATH"] == "/hipbmm/kernel"


def test_warm_comes_after_what_brings_the_model(place: Place) -> None:
    """Case 3 and 14: the author's init container has run, and its volume is mounted."""
    for form in ("kserve", "cached"):
        names = [each["name"] for each in place.ready(form)["spec"]["initContainers"]]
        assert names == ["storage-initializer", foreign.WARM, "hipbmm-harvest"]


def test_the_columns_count_what_there_is(place: Place) -> None:
    """Case 26: `kubectl get hbp`."""
    for form in FORMS:
        place.ready(form)
    every = f"{len(FORMS)}/{len(FORMS)}"
    place.becomes("small", every, lambda body: body["status"]["pods"]["warmProgress"] == every)
    header, row = (line.split() for line in place.kubectl.run("get", "hbp", "small").splitlines())
    assert header == ["NAME", "READY", "ADMISSION", "PODS", "WARM", "TUNED", "SPEEDUP", "REASON", "AGE"]
    problems = f"{foreign.PROBLEMS}/{foreign.PROBLEMS}"
    assert [*row[:6], row[7]] == ["small", "True", "Policy", every, every, problems, "Injecting"]
    assert float(row[6]) > 1
