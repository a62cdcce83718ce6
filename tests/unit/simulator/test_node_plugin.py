"""The device plugin against a kubelet made of grpc.

Registration, the device list, health, allocation, a kubelet's restart.
"""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from simulator import sysfs

grpc = pytest.importorskip("grpc", reason="needs grpcio and protobuf, which the simulator's image has")

from simulator.node import deviceplugin_pb2 as api  # noqa: E402 - needs what was asked for above
from simulator.node.__main__ import make_files  # noqa: E402 - same
from simulator.node.devices import read_devices  # noqa: E402 - same
from simulator.node.plugin import Inventory, Registered  # noqa: E402 - same

Plugin = tuple[Registered, Inventory]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    sysfs.write_tree(tmp_path / "sys")
    return tmp_path / "sys"


class Kubelet:
    """Registration's server side; keeps what plugins said."""

    def __init__(self, directory: Path) -> None:

        self.directory = directory
        self.requests: Queue[Any] = Queue()

        def register(request: object, _context: object) -> object:
            self.requests.put(request)
            return api.Empty()

        handler = grpc.unary_unary_rpc_method_handler(
            register,
            request_deserializer=api.RegisterRequest.FromString,
            response_serializer=api.Empty.SerializeToString,
        )
        self.server = grpc.server(ThreadPoolExecutor(2))
        self.server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("v1beta1.Registration", {"Register": handler}),)
        )
        self.server.add_insecure_port(f"unix://{directory}/kubelet.sock")
        self.server.start()

    def stop(self) -> None:
        self.server.stop(0).wait()
        for socket in self.directory.iterdir():
            socket.unlink(missing_ok=True)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "p"
    path.mkdir()
    return path


@pytest.fixture
def kubelet(directory: Path) -> Iterator[Kubelet]:
    kubelet = Kubelet(directory)
    yield kubelet
    kubelet.stop()


@pytest.fixture
def plugin(tree: Path, tmp_path: Path, directory: Path, kubelet: Kubelet) -> Iterator[Plugin]:

    devices = read_devices(tree)
    make_files(devices, tmp_path / "host")
    inventory = Inventory(devices, tmp_path / "host", Path("/on/the/host"))
    registered = Registered(inventory, directory)
    yield registered, inventory
    inventory.close()
    registered.stop()


def calls(directory: Path) -> Any:  # noqa: ANN401 - a channel, and grpc has no types
    return grpc.insecure_channel(f"unix://{directory}/hipbmm-simulator.sock")


def test_registers_as_amd_gpu_with_its_own_endpoint(plugin: Plugin, kubelet: Kubelet) -> None:
    request = kubelet.requests.get(timeout=60)
    assert (request.version, request.resource_name, request.endpoint) == (
        "v1beta1",
        "amd.com/gpu",
        "hipbmm-simulator.sock",
    )


def test_a_device_whose_file_is_gone_is_unhealthy(plugin: Plugin, directory: Path, tmp_path: Path) -> None:

    _, inventory = plugin
    with calls(directory) as channel:
        stream = channel.unary_stream(
            "/v1beta1.DevicePlugin/ListAndWatch",
            request_serializer=api.Empty.SerializeToString,
            response_deserializer=api.ListAndWatchResponse.FromString,
        )(api.Empty(), timeout=60)
        first = next(stream)
        assert [device.health for device in first.devices] == ["Healthy"] * 8
        assert first.devices[0].ID == "0000:05:00.0"
        (tmp_path / "host/dri/renderD136").unlink()
        inventory.refresh()
        second = next(stream)
        assert [device.health for device in second.devices] == ["Healthy", "Unhealthy", *["Healthy"] * 6]
        (tmp_path / "host/dri/renderD136").touch()
        inventory.refresh()
        assert {device.health for device in next(stream).devices} == {"Healthy"}
        stream.cancel()


def test_allocation_mounts_exactly_the_chosen_devices(plugin: Plugin, directory: Path, tmp_path: Path) -> None:

    with calls(directory) as channel:
        allocate = channel.unary_unary(
            "/v1beta1.DevicePlugin/Allocate",
            request_serializer=api.AllocateRequest.SerializeToString,
            response_deserializer=api.AllocateResponse.FromString,
        )
        wanted = api.AllocateRequest(
            container_requests=[api.ContainerAllocateRequest(devices_ids=["0000:26:00.0", "0000:e5:00.0"])]
        )
        (answer,) = allocate(wanted, timeout=60).container_responses
        assert {mount.container_path: mount.host_path for mount in answer.mounts} == {
            "/dev/kfd": "/on/the/host/kfd",
            "/dev/dri/renderD136": "/on/the/host/dri/renderD136",
            "/dev/dri/renderD184": "/on/the/host/dri/renderD184",
        }
        assert all(
            (tmp_path / "host" / mount.host_path.removeprefix("/on/the/host/")).is_file() for mount in answer.mounts
        )
        unknown = api.AllocateRequest(container_requests=[api.ContainerAllocateRequest(devices_ids=["gone"])])
        with pytest.raises(grpc.RpcError) as error:
            allocate(unknown, timeout=60)
        assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_restarted_kubelet_is_noticed(plugin: Plugin, kubelet: Kubelet, directory: Path) -> None:

    registered, inventory = plugin
    assert not registered.is_stale()
    kubelet.requests.get(timeout=60)
    kubelet.stop()
    assert registered.is_stale()
    again = Kubelet(directory)
    try:
        second = Registered(inventory, directory)
        assert again.requests.get(timeout=60).resource_name == "amd.com/gpu"
        assert not second.is_stale()
        second.stop()
    finally:
        again.stop()


def test_without_a_kubelet_nothing_keeps_serving(tree: Path, tmp_path: Path, directory: Path) -> None:

    with pytest.raises(grpc.RpcError):
        Registered(Inventory(read_devices(tree), tmp_path, tmp_path), directory)
    leftovers = [path.name for path in itertools.chain(directory.iterdir())]
    assert leftovers in ([], ["hipbmm-simulator.sock"])
