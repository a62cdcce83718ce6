"""The user's mounts and sizes win; what cannot be mounted is refused with field and value."""

from pathlib import PurePosixPath

import pytest
from tests.unit.operator.make import Json, planned, resource, typed

from hipbmm_operator.plan.validation import check
from hipbmm_operator.resources import server_args


def mounting(*mounts: str, **more: Json) -> Json:
    """A spec with volumes of the user's at these paths."""
    server: Json = {"name": "server", "volumeMounts": [{"name": "mine", "mountPath": path} for path in mounts]}
    server |= more.pop("server_container", {})
    pod = {"volumes": [{"name": "mine", "emptyDir": {"medium": "Memory", "sizeLimit": "64Gi"}}], "containers": [server]}
    return {"podTemplate": {"spec": pod}, **more}


def pod_of(spec: Json) -> Json:
    found: Json = planned(resource(spec)).revision.template["spec"]
    return found


def container(spec: Json, name: str = "server") -> Json:
    pod = pod_of(spec)
    return next(each for each in [*pod["initContainers"], *pod["containers"]] if each["name"] == name)


def paths(spec: Json, name: str = "server") -> dict[str, str]:
    """Volume by path, as the kubelet mounts them. No path may be there twice."""
    mounts = [
        (str(PurePosixPath(mount["mountPath"])), mount["name"]) for mount in container(spec, name)["volumeMounts"]
    ]
    assert len({path for path, _ in mounts}) == len(mounts)
    return dict(mounts)


def environment(spec: Json, name: str = "server") -> dict[str, str]:
    return {entry["name"]: entry.get("value", "") for entry in container(spec, name)["env"]}


def problems(spec: Json) -> list[str]:
    of = typed(resource(spec))
    return [f"{found.reason}: {found.message}" for found in check(of, server_args.resolve(of)) if found.fatal]


@pytest.mark.parametrize("path", ["/dev/shm", "/dev/shm/", "/dev//shm", "/dev/./shm"])  # noqa: S108
@pytest.mark.parametrize("name", ["server", "warm"])
def test_shared_memory_of_the_users_takes_the_place_of_ours(path: str, name: str) -> None:
    assert paths(mounting(path), name)["/dev/shm"] == "mine"  # noqa: S108
    assert "shm" not in {volume["name"] for volume in pod_of(mounting(path))["volumes"]}
    assert problems(mounting(path)) == []


def test_the_size_of_shared_memory_can_be_set() -> None:
    volumes = {volume["name"]: volume for volume in pod_of({"server": {"shmSize": "200Gi"}})["volumes"]}
    assert volumes["shm"]["emptyDir"] == {"medium": "Memory", "sizeLimit": "200Gi"}
    volumes = {volume["name"]: volume for volume in pod_of({})["volumes"]}
    assert volumes["shm"]["emptyDir"] == {"medium": "Memory", "sizeLimit": "16Gi"}


def test_huge_pages_are_a_medium() -> None:
    """Huge pages are of use to a server only through such a volume, or by memfd."""
    pages = {"name": "mine", "emptyDir": {"medium": "HugePages-1Gi"}}
    spec = mounting("/dev/hugepages")
    spec["podTemplate"]["spec"]["volumes"] = [pages]
    assert (problems(spec), paths(spec)["/dev/hugepages"]) == ([], "mine")


def test_a_models_directory_of_the_users() -> None:
    assert paths(mounting("/models"))["/models"] == "mine"
    assert problems(mounting("/models")) == []


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (
            mounting("/models", model={"name": "m", "volume": {"claimName": "c"}}),
            "'/models' is where spec.model.volume",
        ),
        (
            mounting("/models/", model={"name": "m", "volume": {"claimName": "c"}}),
            "'/models/' is where spec.model.volume",
        ),
        (mounting("/dev/shm", server={"shmSize": "1Gi"}), "leaves spec.server.shmSize without effect"),  # noqa: S108
        (mounting("//hipbmm/store"), "'//hipbmm/store' must not be / or inside /hipbmm"),
        (mounting("/./hipbmm"), "'/./hipbmm' must not be"),
        (mounting("/data", "/data/"), "'/data/' is there twice"),
    ],
)
def test_a_conflict_names_field_and_value(spec: Json, told: str) -> None:
    (problem,) = problems(spec)
    assert problem.startswith("InvalidSpec: spec.podTemplate.spec.containers[server].volumeMounts: mountPath ")
    assert told in problem


@pytest.mark.parametrize(
    ("path", "variable", "value"),
    [
        ("/root/.cache/huggingface", "HF_HOME", "/root/.cache/huggingface"),
        ("/root/.cache/huggingface/", "HF_HOME", "/root/.cache/huggingface"),
        ("/root/.cache", "HF_HOME", "/root/.cache/huggingface"),
        ("/root", "HF_HOME", "/root/.cache/huggingface"),
        ("/home/vllm/.cache/huggingface", "HF_HOME", "/home/vllm/.cache/huggingface"),
        ("/home/vllm", "HF_HOME", "/home/vllm/.cache/huggingface"),
        ("/root/.cache/huggingface/hub", "HF_HUB_CACHE", "/root/.cache/huggingface/hub"),
        ("/data/hf-cache", "HF_HOME", "/data/hf-cache"),
        ("/huggingface", "HF_HOME", "/huggingface"),
        ("/mnt/hf_home", "HF_HOME", "/mnt/hf_home"),
        ("/root/.cache/vllm", "VLLM_CACHE_ROOT", "/root/.cache/vllm"),
        ("/root/.cache", "VLLM_CACHE_ROOT", "/root/.cache/vllm"),
        ("/root/.cache/modelscope", "MODELSCOPE_CACHE", "/root/.cache/modelscope/hub"),
        ("/root/.cache/modelscope/hub", "MODELSCOPE_CACHE", "/root/.cache/modelscope/hub"),
        ("/root/.cache", "MODELSCOPE_CACHE", "/root/.cache/modelscope/hub"),
        ("/root/.triton", "TRITON_CACHE_DIR", "/root/.triton/cache"),
        ("/data", "HF_HOME", "/hipbmm/cache/huggingface"),
        ("/models", "HF_HOME", "/hipbmm/cache/huggingface"),
    ],
)
@pytest.mark.parametrize("name", ["server", "warm"])
def test_a_mounted_cache_is_the_one_that_is_used(path: str, variable: str, value: str, name: str) -> None:
    assert environment(mounting(path), name)[variable] == value


def test_the_users_own_variable_wins_over_the_mount() -> None:
    spec = mounting("/root/.cache/huggingface", server={"env": [{"name": "HF_HOME", "value": "/elsewhere"}]})
    assert environment(spec)["HF_HOME"] == "/elsewhere"


@pytest.mark.parametrize("name", ["server", "warm"])
@pytest.mark.parametrize(
    ("mount", "variable", "value", "cache"),
    [
        ("/data", "XDG_CACHE_HOME", "/data/xdg", "/data/xdg/huggingface"),
        ("/data", "HF_HUB_CACHE", "/data/hub", "/data/hub"),
        ("/data", "HOME", "/data/me", "/data/me/.cache/huggingface"),
        ("/data", "HOME", "/database", "/hipbmm/cache/huggingface"),
        ("/root/.cache/huggingface", "HOME", "/elsewhere", "/root/.cache/huggingface"),
    ],
)
def test_a_variable_from_which_the_cache_follows_decides_it(
    mount: str, variable: str, value: str, cache: str, name: str
) -> None:
    """As huggingface_hub derives it: HF_HUB_CACHE, else HF_HOME, else XDG_CACHE_HOME, else HOME."""
    env = environment(mounting(mount, server={"env": [{"name": variable, "value": value}]}), name)
    home = env.get("XDG_CACHE_HOME") or f"{env['HOME']}/.cache"
    assert (env.get("HF_HUB_CACHE") or env.get("HF_HOME") or f"{home}/huggingface") == cache


READ_ONLY: dict[str, tuple[Json, Json]] = {
    "mount": ({"emptyDir": {}}, {"readOnly": True}),
    "claim": ({"persistentVolumeClaim": {"claimName": "models", "readOnly": True}}, {}),
    "config map": ({"configMap": {"name": "models"}}, {}),
    "secret": ({"secret": {"secretName": "models"}}, {}),
}


@pytest.mark.parametrize("how", READ_ONLY)
@pytest.mark.parametrize(
    ("path", "hub"),
    [
        ("/root/.cache/huggingface", "/root/.cache/huggingface/hub"),
        ("/root/.cache/huggingface/hub", "/root/.cache/huggingface/hub"),
        ("/root/.cache", "/root/.cache/huggingface/hub"),
        ("/home/vllm", "/home/vllm/.cache/huggingface/hub"),
        ("/root/.cache/vllm", None),
        ("/root/.triton", None),
    ],
)
def test_in_a_cache_that_nobody_can_write_only_models_are_looked_for(path: str, hub: str | None, how: str) -> None:
    """Code of a model (HF_HOME/modules) and compiled kernels have to be written somewhere."""
    source, more = READ_ONLY[how]
    spec = mounting(path)
    spec["podTemplate"]["spec"]["volumes"] = [{"name": "mine", **source}]
    spec["podTemplate"]["spec"]["containers"][0]["volumeMounts"][0] |= more
    for name in ("server", "warm"):
        found = environment(spec, name)
        assert found.get("HF_HUB_CACHE") == hub
        written = ("HOME", "HF_HOME", "XDG_CACHE_HOME", "VLLM_CACHE_ROOT", "TRITON_CACHE_DIR")
        assert {found[variable].partition("/cache")[0] for variable in written} == {"/hipbmm"}


@pytest.mark.parametrize("name", ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"])
def test_both_names_of_the_hubs_cache_win_over_a_mount(name: str) -> None:
    spec = mounting("/root/.cache/huggingface/hub", server={"env": [{"name": name, "value": "/data/hub"}]})
    found = environment(spec)
    assert (found.get("HF_HUB_CACHE") or found["HUGGINGFACE_HUB_CACHE"]) == "/data/hub"


@pytest.mark.parametrize("name", ["server", "warm"])
def test_a_read_only_image_has_a_directory_for_temporary_files(name: str) -> None:
    read_only = {"securityContext": {"readOnlyRootFilesystem": True}}
    assert paths(mounting(server_container=read_only), name)["/tmp"] == "hipbmm-tmp"  # noqa: S108
    assert paths(mounting("/tmp", server_container=read_only), name)["/tmp"] == "mine"  # noqa: S108
    assert "/tmp" not in paths({}, name)  # noqa: S108


def test_only_the_server_and_the_tuner_have_the_users_mounts() -> None:
    assert "/data" not in paths(mounting("/data"), "harvest")
    assert "readOnly" not in next(m for m in container({}, "warm")["volumeMounts"] if m["name"] == "store")
    assert next(m for m in container({})["volumeMounts"] if m["name"] == "store")["readOnly"] is True
