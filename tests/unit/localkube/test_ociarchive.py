import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from localkube import ociarchive
from localkube.ociarchive import Runtime

NAME = "localhost/hipbmm/test:1"
RUNTIME = Runtime("amd64", ("/run",), "65535:65535", ("A=1",))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "usr/share/doc/x").mkdir(parents=True)
    (root / "usr/share/doc/x/copyright").write_text("text")
    (root / "usr/bin").mkdir()
    (root / "usr/bin/tool").write_text("#!/bin/sh\n")
    (root / "usr/bin/tool").chmod(0o755)
    (root / "bin").symlink_to("usr/bin")
    os.link(root / "usr/bin/tool", root / "usr/bin/same")
    os.utime(root / "usr/bin/tool", (1_700_000_000, 1_700_000_000))
    return root


def pack(tmp_path: Path, tree: Path, file: str) -> tuple[Path, str]:
    layer = tmp_path / "layer.tar"
    ociarchive.write_layer(layer, tree, lambda name: name == "usr/share/doc")
    archive = tmp_path / file
    return archive, ociarchive.write(archive, NAME, layer, RUNTIME)


def test_the_same_tree_gives_the_same_bytes(tmp_path: Path, tree: Path) -> None:
    first, digest = pack(tmp_path, tree, "a.tar")
    second, again = pack(tmp_path, tree, "b.tar")
    assert digest == again
    assert first.read_bytes() == second.read_bytes()


def test_name_and_digest_are_found_again(tmp_path: Path, tree: Path) -> None:
    archive, digest = pack(tmp_path, tree, "a.tar")
    assert ociarchive.names_and_digest(archive) == ([NAME], digest)
    with tarfile.open(archive) as tar:
        assert f"blobs/{digest.replace(':', '/')}" in tar.getnames()


def test_every_blob_is_what_its_digest_says_and_docker_finds_its_own(tmp_path: Path, tree: Path) -> None:
    archive, digest = pack(tmp_path, tree, "a.tar")
    with tarfile.open(archive) as tar:
        blobs = {name: tar.extractfile(name) for name in tar.getnames() if name.startswith("blobs/")}
        contents = {name: stream.read() for name, stream in blobs.items() if stream}
        docker = json.loads(tar.extractfile("manifest.json").read())  # type: ignore[union-attr]
    for name, content in contents.items():
        assert name.endswith(hashlib.sha256(content).hexdigest())
    manifest = json.loads(contents[f"blobs/{digest.replace(':', '/')}"])
    config = json.loads(contents[docker[0]["Config"]])
    assert config["config"] == {"Entrypoint": ["/run"], "User": "65535:65535", "Env": ["A=1"], "Labels": {}}
    assert config["rootfs"]["diff_ids"] == [manifest["layers"][0]["digest"]]
    assert docker[0]["RepoTags"] == [NAME]


def test_a_layer_comes_back_as_it_was_without_what_was_skipped(tmp_path: Path, tree: Path) -> None:
    archive, _ = pack(tmp_path, tree, "a.tar")
    ociarchive.extract_layer(archive, tmp_path / "back")
    back = tmp_path / "back"
    assert sorted(str(path.relative_to(back)) for path in back.rglob("*")) == [
        "bin",
        "usr",
        "usr/bin",
        "usr/bin/same",
        "usr/bin/tool",
        "usr/share",
    ]
    tool = back / "usr/bin/tool"
    assert tool.stat().st_mode & 0o777 == 0o755
    # Python compares a source's time with the one in its byte code.
    assert int(tool.stat().st_mtime) == 1_700_000_000
    assert tool.samefile(back / "usr/bin/same")
    assert (back / "bin").readlink() == Path("usr/bin")


def test_what_is_no_image_is_refused_by_name(tmp_path: Path) -> None:
    text = tmp_path / "x.tar"
    text.write_text("no tar")
    with pytest.raises(ValueError, match=r"x\.tar is not an image archive"):
        ociarchive.names_and_digest(text)
    with tarfile.open(tmp_path / "y.tar", "w") as tar:
        tar.add(text, "file")
    with pytest.raises(ValueError, match="not an image archive"):
        ociarchive.names_and_digest(tmp_path / "y.tar")


def archive_of(path: Path, **members: object) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, value in members.items():
            content = json.dumps(value).encode()
            info = tarfile.TarInfo(f"{name}.json")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def test_names_are_read_as_each_tool_writes_them(tmp_path: Path) -> None:
    containerd, oci = "io.containerd.image.name", "org.opencontainers.image.ref.name"
    both = {"digest": "sha256:1", "annotations": {containerd: NAME, oci: "1"}}
    found = ociarchive.names_and_digest(archive_of(tmp_path / "new.tar", index={"manifests": [both]}))
    assert found == ([NAME], "sha256:1")
    other = {"digest": "sha256:2", "annotations": {oci: NAME}}
    found = ociarchive.names_and_digest(archive_of(tmp_path / "buildah.tar", index={"manifests": [other]}))
    assert found == ([NAME], "sha256:2")
    old = archive_of(tmp_path / "old.tar", manifest=[{"RepoTags": [NAME]}, {"RepoTags": None}])
    assert ociarchive.names_and_digest(old) == ([NAME], "")


def test_an_archive_without_images_is_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not an image archive"):
        ociarchive.names_and_digest(archive_of(tmp_path / "empty.tar", index={"manifests": []}))
