import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from localkube import cli, launcher, lifecycle, machine, packages, readiness, record
from localkube.api import Api, ApiError, Object
from localkube.console import Console
from localkube.errors import LocalkubeError
from localkube.lifecycle import Wish
from localkube.paths import Layout
from localkube.record import Record

RECORD = Record("x", "control-plane", "1.37", "10.140.0.0/16", {"apiserver": 21000})


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    monkeypatch.setenv("HIPBMM_LOCALKUBE_DIR", str(tmp_path))
    return Layout.of("x")


def quiet() -> Console:
    return Console(io.StringIO())


@pytest.mark.parametrize("wish", [Wish(), Wish("control-plane"), Wish(None, "1.37"), Wish("control-plane", "1.37")])
def test_an_existing_instance_is_what_it_is(wish: Wish) -> None:
    assert lifecycle.agree(RECORD, wish, "x") == RECORD


@pytest.mark.parametrize(
    ("wish", "word"),
    [(Wish("node"), "profile"), (Wish(None, "1.36"), "Kubernetes version"), (Wish(None, None, "kubernetes"), "rates")],
)
def test_a_contradicting_wish_is_refused_with_the_way_out(wish: Wish, word: str) -> None:
    with pytest.raises(LocalkubeError, match=f"{word}.*localkube down --name x"):
        lifecycle.agree(RECORD, wish, "x")


@pytest.mark.usefixtures("layout")
def test_without_root_the_node_profile_names_the_ways_out_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(machine, "is_root", lambda: False)
    assert cli.main(["up", "--profile", "node", "--name", "x"]) == 1
    message = capsys.readouterr().err
    for way in ("sudo", "KUBECONFIG", "control-plane"):
        assert way in message
    assert not (tmp_path / "x").exists()


@pytest.mark.usefixtures("layout")
def test_down_of_what_never_was_is_fine_and_leaves_nothing(tmp_path: Path) -> None:
    assert cli.main(["down", "--name", "x"]) == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("layout")
def test_absent_and_stopped_instances_are_told_apart(layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status", "--name", "x", "-o", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["state"] == "Absent"
    RECORD.save(layout.record)
    assert cli.main(["status", "--name", "x", "-o", "json"]) == 1
    state = json.loads(capsys.readouterr().out)
    assert (state["state"], state["profile"], state["devicePluginDir"]) == ("Stopped", "control-plane", None)


@pytest.mark.usefixtures("layout")
@pytest.mark.parametrize("arguments", [["up", "--name", "No"], ["tool", "kubeadm"], ["build", "kind"], ["images", "x"]])
def test_wrong_words_are_usage_errors(arguments: list[str]) -> None:
    assert cli.main(arguments) == 2


@pytest.mark.usefixtures("layout")
def test_load_needs_a_node(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["load", "--name", "x", "operator"]) == 1
    assert "has no node" in capsys.readouterr().err


def test_a_record_survives_the_file_and_a_broken_one_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "x" / "instance.json"
    assert record.load(path) is None
    RECORD.save(path)
    assert record.load(path) == RECORD
    for text in ("{", '{"name": "x"}', "[]"):
        path.write_text(text)
        with pytest.raises(LocalkubeError, match="localkube down"):
            record.load(path)


def test_missing_packages_are_named_where_they_cannot_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = {"no-such-program-a": "pkg-b", "/no/such/file": "pkg-a", "sh": "dash"}
    assert packages.missing(needed) == ["pkg-a", "pkg-b"]
    monkeypatch.setattr(packages, "is_root", lambda: False)
    with pytest.raises(LocalkubeError, match="pkg-a pkg-b"):
        packages.ensure(needed, quiet())


def test_components_get_no_proxy_and_no_secret_of_the_shell(layout: Layout) -> None:
    env = {"PATH": "/bin", "HOME": "/h", "HTTPS_PROXY": "http://proxy.invalid", "TOKEN": "x", "KUBECONFIG": "/k"}
    assert set(launcher.environment(layout, env)) == {
        "PATH",
        "HOME",
        "PYTHONPATH",
        "HIPBMM_LOCALKUBE_INSTANCE",
        "HIPBMM_LOCALKUBE_COMPONENT",
    }


class FakeApi(Api):
    """One answer for all."""

    def __init__(self, answer: Callable[[], Object]) -> None:
        self.answer = answer

    def request(self, method: str, path: str, body: Object | None = None, seconds: float = 10.0) -> Object:  # noqa: ARG002 - the signature of Api
        return self.answer()


def raising(error: Exception) -> Callable[[], Object]:
    def answer() -> Object:
        raise error

    return answer


def node(**condition: str) -> Callable[[], Object]:
    return lambda: {"status": {"conditions": [{"type": "MemoryPressure", "status": "True"}, condition]}}


def test_the_api_server_names_what_it_waits_for() -> None:
    text = "[+]ping ok\n[-]informer-sync failed: reason withheld\n[-]rbac failed\nreadyz check failed"
    assert readiness.api_ready(FakeApi(raising(ApiError(500, text)))) == "API server: informer-sync and 1 more"
    assert "refused" in readiness.api_ready(FakeApi(raising(ConnectionRefusedError("refused"))))
    assert readiness.api_ready(FakeApi(dict)) == ""


def test_a_node_is_ready_when_its_kubelet_says_so_now() -> None:
    now = {"type": "Ready", "lastHeartbeatTime": "2026-01-01T00:00:10Z"}
    heard = 1767225610.0
    assert readiness.node_ready(FakeApi(node(**now, status="True")), "n", heard) == ""
    assert "no word" in readiness.node_ready(FakeApi(node(**now, status="True")), "n", heard + 1)
    assert "cni" in readiness.node_ready(FakeApi(node(**now, status="False", message="cni is missing")), "n")
    assert "404" in readiness.node_ready(FakeApi(raising(ApiError(404, "not found"))), "n")


def test_waiting_ends_with_the_reason() -> None:
    with pytest.raises(LocalkubeError, match=re.escape("not ready after 0 s: the disk")):
        readiness.wait(lambda: "the disk", 0, lambda: True, quiet())
    with pytest.raises(LocalkubeError, match="ended while waiting for the disk"):
        readiness.wait(lambda: "the disk", 60, lambda: False, quiet())
    readiness.wait(lambda: "", 0, lambda: False, quiet())


def test_a_supervisor_that_is_not_seen_for_a_moment_has_not_ended() -> None:
    missing = iter(["the disk", "the disk", "the disk", ""])
    seen = iter([False, False, True])
    readiness.wait(lambda: next(missing), 60, lambda: next(seen), quiet())
