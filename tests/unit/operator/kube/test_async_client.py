"""What the operator does not load, because it costs memory and nothing uses it."""

import subprocess
import sys

_LOADED = "import sys, hipbmm_operator.manager; print(*sys.modules)"


def test_the_synchronous_client_and_what_it_needs_are_not_loaded() -> None:
    answer = subprocess.run([sys.executable, "-c", _LOADED], check=True, capture_output=True, text=True)
    loaded = set(answer.stdout.split())
    assert "kubernetes.aio.client.api_client" in loaded
    assert loaded.isdisjoint({"kubernetes.client.rest", "kubernetes.watch", "requests", "oauthlib", "websocket"})
