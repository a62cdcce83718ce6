"""What decides an image's content, and what the Dockerfile may do."""

import re
from pathlib import Path

import pytest

from localkube import images, rootfs
from localkube.errors import UsageError
from localkube.imagebuilder import Build, Builder
from localkube.paths import REPOSITORY

DOCKERFILE = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
INSTRUCTIONS = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE))


def instructions(word: str) -> list[str]:
    return re.findall(rf"^{word}\s+(.*)$", INSTRUCTIONS, re.MULTILINE)


def final_stage() -> str:
    return INSTRUCTIONS.rpartition("FROM ")[2]


def test_every_stage_begins_with_the_base_that_was_given() -> None:
    assert instructions("FROM") == ["${BASE_IMAGE} AS builder", "${BASE_IMAGE}"]


def test_the_user_is_not_root_and_above_ten_thousand() -> None:
    (user,) = re.findall(r"^USER (\d+):(\d+)$", final_stage(), re.MULTILINE)
    assert all(int(number) > 10000 for number in user)


def test_only_hashed_requirements_are_installed_and_only_from_wheels() -> None:
    (install,) = [line for line in instructions("RUN") if "pip --python" in line]
    assert "--require-hashes" in install
    assert "--only-binary :all:" in install
    assert "/build/operator.txt" in install


def test_nothing_runs_and_nothing_is_fetched_in_the_final_stage() -> None:
    assert not re.search(r"^(RUN|ADD)\b", final_stage(), re.MULTILINE)
    assert instructions("ADD") == []


def test_no_index_mirror_or_host_is_named() -> None:
    assert "://" not in DOCKERFILE
    assert "index-url" not in DOCKERFILE


def test_the_program_starts_by_its_module() -> None:
    assert instructions("ENTRYPOINT") == ['["python", "-m", "hipbmm_operator"]']
    assert instructions("CMD") == ['["run"]']


def test_the_build_context_is_an_allow_list() -> None:
    rules = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [rule for rule in rules if rule and not rule.startswith("#")]
    assert rules[0] == "*"
    allowed = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    needed = {entry for image in images.IMAGES.values() for entry in image.inputs}
    assert allowed == needed


def test_the_key_depends_on_base_names_and_contents() -> None:
    files = [("-a", b"1"), ("-b", b"2")]
    keys = {
        images.inputs_key("base", files),
        images.inputs_key("other", files),
        images.inputs_key("base", [("-a", b"12"), ("-b", b"")]),
        images.inputs_key("base", [("-a", b"1"), ("-c", b"2")]),
        images.inputs_key("base", [("xa", b"1"), ("-b", b"2")]),
    }
    assert len(keys) == 5
    assert images.inputs_key("base", files) in keys


def test_unknown_images_are_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="operator, simulator"):
        images.named("vllm")


def test_a_variant_has_its_own_name_and_key() -> None:
    variant = images.named("simulator", "updated", ["HIPBLASLT_BUILD=2", "EMPTY=", "URL=a=b"])
    assert variant.reference == "localhost/hipbmm/simulator:updated"
    assert dict(variant.arguments) == {"HIPBLASLT_BUILD": "2", "EMPTY": "", "URL": "a=b"}


@pytest.mark.parametrize(("tag", "arguments"), [("A", []), ("", []), ("a/b", []), ("a", ["X"]), ("a", ["=1"])])
def test_broken_variants_are_usage_errors(tag: str, arguments: list[str]) -> None:
    with pytest.raises(UsageError):
        images.named("simulator", tag, arguments)


def build_of() -> Build:
    return Build(
        image="localhost/x:dev",
        dockerfile=REPOSITORY / "Dockerfile",
        context=REPOSITORY,
        base_image="localhost/base:1",
        arguments={"VERSION": "1"},
        secrets={"ca": REPOSITORY / "LICENSE"},
    )


@pytest.mark.parametrize("tool", ["buildah", "podman", "docker"])
def test_each_tool_builds_from_the_base_with_secrets_and_the_hosts_network(tool: str) -> None:
    command = " ".join(Builder(tool).build_command(build_of()))
    assert command.startswith(f"{tool} build --network host")
    assert "--build-arg BASE_IMAGE=localhost/base:1 --build-arg VERSION=1" in command
    assert f"--secret id=ca,src={REPOSITORY / 'LICENSE'}" in command
    assert f"--tag localhost/x:dev --file {REPOSITORY / 'Dockerfile'} {REPOSITORY}" in command
    assert ("--isolation chroot" in command) == (tool == "buildah")


def test_each_tool_writes_an_archive_that_containerd_reads() -> None:
    path = REPOSITORY / "x.tar"
    assert Builder("buildah").save_command("a:1", path)[-1] == f"oci-archive:{path}:a:1"
    assert "oci-archive" in Builder("podman").save_command("a:1", path)
    assert Builder("docker").save_command("a:1", path) == ["docker", "save", "--output", str(path), "a:1"]


def test_bases_change_their_key_with_their_parents() -> None:
    other = rootfs.Base("python", ("python3",))
    child = rootfs.Base("torch", rootfs.TORCH.include, other)
    assert len({rootfs.PYTHON.key, rootfs.TORCH.key, other.key, child.key}) == 4
    assert rootfs.TORCH.image == f"localhost/hipbmm/base-torch:{rootfs.TORCH.key}"


@pytest.mark.parametrize(
    ("name", "left_out"),
    [
        ("usr/share/doc", True),
        ("usr/share/documents", False),
        ("etc/resolv.conf", True),
        ("etc/apt/sources.list", True),
        ("dev", False),
        ("dev/null", True),
        ("usr/lib/libtorch.a", True),
        ("usr/lib/python3/dist-packages/torch/__pycache__/x.pyc", False),
    ],
)
def test_images_hold_neither_documentation_nor_anything_of_this_machine(name: str, left_out: bool) -> None:
    assert rootfs.strips(name) is left_out


def test_the_content_changes_with_what_goes_in_and_not_with_the_tag(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "REPOSITORY", tmp_path)
    for name in ("Dockerfile", ".dockerignore", "program.py", "other.py"):
        (tmp_path / name).write_text(name)
    image = images.Image("operator", rootfs.PYTHON, "Dockerfile", ("program.py",))
    before = images.content(image)
    (tmp_path / "other.py").write_text("is not in it")
    assert images.content(image) == before
    (tmp_path / "program.py").write_text("changed")
    assert images.content(image) != before
