"""The webhook's own certificate: what is served is trusted, at each step of a renewal and after each damage."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hipbmm_operator.admission import certificate

HOST = "hipbmm-operator-webhook.a-namespace-with-a-name-so-long-that-no-common-name-holds-it.svc"
LATER = datetime.now(UTC)
NOW = LATER - timedelta(days=300)
"""When the first one is made; it is due for renewal today, and valid."""


def trusts(bundle: str, held: dict[str, str], folder: Path, host: str = HOST) -> bool:
    """Whether a client that trusts `bundle` shakes hands with a server that has the certificate of `held`."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for name in ("tls.crt", "tls.key"):
        (folder / name).write_text(held[name])
    server.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    client = ssl.create_default_context(cadata=bundle)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client.wrap_bio(back, there, server_hostname=host)
    other = server.wrap_bio(there, back, server_side=True)
    for _ in range(4):
        for each in (one, other):
            try:
                each.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                return False
    return bool(one.getpeercert())


def test_the_first_one_serves_the_name_of_the_service(tmp_path: Path) -> None:
    held = certificate.step({}, "", HOST, NOW)
    assert held.keys() == {"ca.crt", "tls.crt", "tls.key"}
    assert trusts(held["ca.crt"], held, tmp_path)
    assert not trusts(held["ca.crt"], held, tmp_path, "another.namespace.svc")
    assert certificate.step(held, held["ca.crt"], HOST, NOW) == held
    assert certificate.step(held, "", HOST, NOW + timedelta(days=200)) == held


def test_no_call_fails_while_it_is_renewed(tmp_path: Path) -> None:
    first = certificate.step({}, "", HOST, NOW)
    announced = certificate.step(first, first["ca.crt"], HOST, LATER)
    assert announced["tls.crt"] == first["tls.crt"]
    # The API servers do not yet trust the next one, so it is not served, however often this is looked at.
    assert certificate.step(announced, first["ca.crt"], HOST, LATER) == announced
    renewed = certificate.step(announced, announced["ca.crt"], HOST, LATER)
    assert renewed["tls.crt"] == announced["next.crt"]
    assert renewed.keys() == first.keys()
    for bundle, held in (
        (first["ca.crt"], announced),
        (announced["ca.crt"], announced),
        (announced["ca.crt"], renewed),
        # A replica that has not looked yet serves the former one.
        (renewed["ca.crt"], first),
    ):
        assert trusts(bundle, held, tmp_path)
    second = certificate.step(renewed, renewed["ca.crt"], HOST, LATER + timedelta(days=300))
    assert second["ca.crt"].count("BEGIN CERTIFICATE") == 2
    assert not trusts(second["ca.crt"], first, tmp_path)


@pytest.mark.parametrize("damage", ["ca.crt", "tls.crt", "tls.key"])
@pytest.mark.parametrize(
    "text", ["", "garbage", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", None]
)
def test_whatever_is_damaged_is_made_anew(tmp_path: Path, damage: str, text: str | None) -> None:
    other = certificate.step({}, "", HOST, NOW)
    held = {**certificate.step({}, "", HOST, NOW), damage: other[damage] if text is None else text}
    made = certificate.step(held, "", HOST, NOW)
    assert made != held
    assert trusts(made["ca.crt"], made, tmp_path)


@pytest.mark.parametrize("now", [NOW + timedelta(days=366)])
def test_one_that_has_ended_is_replaced_at_once(now: datetime) -> None:
    held = certificate.step({}, "", HOST, NOW)
    assert certificate.step(held, held["ca.crt"], HOST, now)["tls.crt"] != held["tls.crt"]


def test_another_name_of_the_service_needs_another_one(tmp_path: Path) -> None:
    held = certificate.step({}, "", HOST, NOW)
    moved = certificate.step(held, held["ca.crt"], "other.namespace.svc", NOW)
    assert trusts(moved["ca.crt"], moved, tmp_path, "other.namespace.svc")


def test_a_next_one_that_is_damaged_is_made_again(tmp_path: Path) -> None:
    first = certificate.step({}, "", HOST, NOW)
    announced = {**certificate.step(first, first["ca.crt"], HOST, LATER), "next.key": "garbage"}
    again = certificate.step(announced, announced["ca.crt"], HOST, LATER)
    assert again["tls.crt"] == first["tls.crt"]
    assert trusts(again["ca.crt"], {"tls.crt": again["next.crt"], "tls.key": again["next.key"]}, tmp_path)
