import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from localkube import builder
from localkube.console import Console
from localkube.errors import LocalkubeError
from localkube.modules import GoModule

# Stands for the go command: counts its builds, says what a real one says, and leaves the binaries that it is told to.
FAKE_GO = """#!/bin/sh
case "$1" in
  list) echo a/b; echo c/d; exit 0 ;;
esac
echo build >> "$FAKE_LOG"
while [ "$1" != "-o" ]; do shift; done
echo a/b >&2
for name in $FAKE_BINARIES; do : > "$2$name"; done
[ -z "$FAKE_ERROR" ] || { echo "# c/d" >&2; echo "$FAKE_ERROR" >&2; exit 1; }
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GoModule:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "go").write_text(FAKE_GO)
    (programs / "go").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("FAKE_BINARIES", "server kubectl")
    monkeypatch.setenv("FAKE_ERROR", "")
    return GoModule("kubernetes-1.37", "v1.37.2", "0123456789ab", ("etcd", "kubectl"), "-s", tmp_path)


def builds(tmp_path: Path) -> int:
    log = tmp_path / "log"
    return len(log.read_text().splitlines()) if log.exists() else 0


def test_binaries_are_built_once_and_renamed(module: GoModule, tmp_path: Path) -> None:
    output = io.StringIO()
    first = builder.binaries(module, Console(output), tmp_path / "cache")
    second = builder.binaries(module, Console(output), tmp_path / "cache")
    assert first == second == tmp_path / "cache" / "bin" / "kubernetes-1.37-0123456789ab"
    assert sorted(path.name for path in first.iterdir()) == ["etcd", "kubectl"]
    assert builds(tmp_path) == 1
    assert "v1.37.2" in output.getvalue()


def test_a_failed_build_leaves_nothing_and_shows_the_compilers_words(
    module: GoModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_ERROR", "x.go:1: undefined: y")
    with pytest.raises(LocalkubeError, match="undefined: y"):
        builder.binaries(module, Console(io.StringIO()), tmp_path / "cache")
    assert [path.name for path in (tmp_path / "cache" / "bin").iterdir()] == [".kubernetes-1.37.lock"]


def test_a_build_without_one_of_its_binaries_fails(
    module: GoModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_BINARIES", "server")
    with pytest.raises(LocalkubeError, match="left out kubectl"):
        builder.binaries(module, Console(io.StringIO()), tmp_path / "cache")


@pytest.mark.usefixtures("module")
def test_two_processes_build_once(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys; from localkube import builder; from localkube.console import Console; "
        "from localkube.modules import GoModule; path = pathlib.Path(sys.argv[1]); "
        "module = GoModule('kubernetes-1.37', 'v1.37.2', '0123456789ab', ('etcd', 'kubectl'), '-s', path); "
        "builder.binaries(module, Console(), path / 'cache')"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, str(tmp_path)]
    running = [subprocess.Popen(command, env=env, stderr=subprocess.PIPE) for _ in range(3)]
    assert [process.communicate()[1] is not None and process.returncode for process in running] == [0, 0, 0]
    assert builds(tmp_path) == 1


def test_the_users_go_settings_do_not_leak_in() -> None:
    env = builder.go_environment({"GOFLAGS": "-mod=vendor", "GOWORK": "/x/go.work", "GOPROXY": "https://proxy.invalid"})
    assert env == {
        "GOFLAGS": "",
        "GOWORK": "off",
        "CGO_ENABLED": "0",
        "GO111MODULE": "on",
        "GOPROXY": "https://proxy.invalid",
    }


def test_without_go_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_args, **_kwargs: None)
    with pytest.raises(LocalkubeError, match="install Go"):
        builder.require_go()
