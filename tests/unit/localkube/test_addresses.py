import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localkube.addresses import PORT_ROLES, Network, Networks, choose_networks, choose_ports, parse_routes
from localkube.errors import LocalkubeError

BLOCKS = [Network(f"10.{number}.0.0/16") for number in range(128, 255)]


@given(st.lists(st.sampled_from(BLOCKS), max_size=126), st.text(min_size=1, max_size=20))
def test_a_chosen_network_overlaps_nothing_that_is_taken(taken: list[Network], name: str) -> None:
    chosen = choose_networks(name, taken).block
    assert not any(chosen.overlaps(other) for other in taken)
    assert chosen in BLOCKS


def test_the_same_name_gets_the_same_network_and_others_another() -> None:
    first = choose_networks("one", [])
    assert choose_networks("one", []) == first
    assert choose_networks("one", [first.block]) != first


def test_a_route_inside_a_block_makes_it_taken() -> None:
    first = choose_networks("one", [])
    inside = Network((str(first.pods[7]), 32))
    assert choose_networks("one", [inside]).block != first.block


def test_no_network_left_is_an_error_that_says_so() -> None:
    with pytest.raises(LocalkubeError, match="no free network"):
        choose_networks("one", [Network("10.0.0.0/8")])


def test_the_parts_of_a_block_lie_apart_and_inside() -> None:
    networks = Networks(Network("10.140.0.0/16"))
    parts = [networks.pods, networks.services, networks.link]
    assert all(part.subnet_of(networks.block) for part in parts)
    assert not any(a.overlaps(b) for a in parts for b in parts if a is not b)
    assert (networks.host_address, networks.node_address) == ("10.140.255.1", "10.140.255.2")
    assert networks.kubernetes_service == "10.140.128.1"


@given(st.sets(st.integers(20000, 20400)))
def test_ports_are_free_and_different(busy: set[int]) -> None:
    ports = choose_ports("x", 32768, lambda port: port not in busy)
    assert set(ports) == set(PORT_ROLES)
    assert len(set(ports.values())) == len(PORT_ROLES)
    assert not busy & set(ports.values())
    assert all(20000 <= port < 32768 for port in ports.values())


def test_no_port_left_is_an_error() -> None:
    with pytest.raises(LocalkubeError, match="free TCP ports"):
        choose_ports("x", 32768, lambda port: port < 20003)


def test_routes_are_read_from_the_kernels_table() -> None:
    table = (
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        "lk0\t0000BF0A\t02FFBF0A\t0003\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
    )
    assert parse_routes(table) == [ipaddress.ip_network("192.0.2.0/24"), ipaddress.ip_network("10.191.0.0/16")]
