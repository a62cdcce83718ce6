"""The gRPC side of a kubelet device plugin: Registration on the kubelet's socket, DevicePlugin on our own."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc  # type: ignore[import-untyped,import-not-found,unused-ignore] # only in the image

from simulator.node import deviceplugin_pb2 as api
from simulator.node.devices import RESOURCE, NodeDevice, allocation

SOCKET = "hipbmm-simulator.sock"
_VERSION = "v1beta1"
_WORKERS = 8
_STOP_SECONDS = 2.0
_REGISTER_SECONDS = 10.0


class Inventory:
    """The devices and which of them are healthy.

    A device is, as long as the file that stands for it exists. ``files`` is the directory of these files as this
    process sees it, ``host`` as the host does.
    """

    def __init__(self, devices: list[NodeDevice], files: Path, host: Path) -> None:
        self.devices = devices
        self.host = host
        self._files = files
        self._changed = threading.Condition()
        self._healthy = self._look()
        self._closed = False

    def refresh(self) -> None:
        """Look again, and wake the watchers when something changed."""
        healthy = self._look()
        with self._changed:
            if healthy != self._healthy:
                self._healthy = healthy
                self._changed.notify_all()

    def close(self) -> None:
        """End all watches."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def watch(self) -> Iterator[frozenset[str]]:
        """The ids of the healthy devices, now and after each change, until closed."""
        last = None
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._healthy != last)  # noqa: B023 - called before `last` changes
                if self._closed:
                    return
                last = self._healthy
            yield last

    def _look(self) -> frozenset[str]:
        return frozenset(item.id for item in self.devices if (self._files / f"dri/renderD{item.minor}").exists())


class DevicePlugin(grpc.GenericRpcHandler):  # type: ignore[misc] # grpc is Any where lint runs
    """Answers the kubelet's calls for one inventory."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        self._methods = {
            "GetDevicePluginOptions": _handler(unary, self._options, api.Empty),
            "ListAndWatch": _handler(stream, self._list_and_watch, api.Empty),
            "Allocate": _handler(unary, self._allocate, api.AllocateRequest),
        }

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> object:
        """The handler of one method of v1beta1.DevicePlugin."""
        service, _, method = handler_call_details.method.lstrip("/").partition("/")
        return self._methods.get(method) if service == f"{_VERSION}.DevicePlugin" else None

    def _options(self, _request: api.Empty, _context: object) -> api.DevicePluginOptions:
        return api.DevicePluginOptions()

    def _list_and_watch(self, _request: api.Empty, _context: object) -> Iterator[api.ListAndWatchResponse]:
        for healthy in self._inventory.watch():
            yield api.ListAndWatchResponse(
                devices=[
                    api.Device(
                        ID=item.id,
                        health="Healthy" if item.id in healthy else "Unhealthy",
                        topology=api.TopologyInfo(nodes=[api.NUMANode(ID=item.numa)]),
                    )
                    for item in self._inventory.devices
                ]
            )

    def _allocate(self, request: api.AllocateRequest, context: grpc.ServicerContext) -> api.AllocateResponse:
        response = api.AllocateResponse()
        for container in request.container_requests:
            try:
                files = allocation(self._inventory.devices, container.devices_ids, self._inventory.host)
            except KeyError as error:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"no device {error}")
                raise  # not reached: abort raises
            mounts = [api.Mount(container_path=inside, host_path=outside) for inside, outside in files.items()]
            response.container_responses.add(mounts=mounts)
        return response


class Registered:
    """A serving plugin that the kubelet knows; ``directory`` is the kubelet's device-plugin directory."""

    def __init__(self, inventory: Inventory, directory: Path) -> None:
        self._socket = directory / SOCKET
        self._kubelet = directory / "kubelet.sock"
        self._socket.unlink(missing_ok=True)
        self._server = grpc.server(ThreadPoolExecutor(max_workers=_WORKERS))
        self._server.add_generic_rpc_handlers((DevicePlugin(inventory),))
        self._server.add_insecure_port(f"unix://{self._socket}")
        self._server.start()
        self._identity = self._inodes()
        try:
            self._register()
        except grpc.RpcError:
            self.stop()
            raise

    def is_stale(self) -> bool:
        """Whether the kubelet restarted: it removes the plugins' sockets and makes its own anew."""
        return self._inodes() != self._identity

    def stop(self) -> None:
        """Stop serving."""
        self._server.stop(_STOP_SECONDS).wait()

    def _inodes(self) -> tuple[int, ...]:
        return tuple(path.stat().st_ino if path.exists() else 0 for path in (self._socket, self._kubelet))

    def _register(self) -> None:
        request = api.RegisterRequest(version=_VERSION, endpoint=SOCKET, resource_name=RESOURCE)
        with grpc.insecure_channel(f"unix://{self._kubelet}") as channel:
            call = channel.unary_unary(
                f"/{_VERSION}.Registration/Register",
                request_serializer=api.RegisterRequest.SerializeToString,
                response_deserializer=api.Empty.FromString,
            )
            call(request, timeout=_REGISTER_SECONDS)


def _handler(kind: Callable[..., object], method: Callable[..., object], request: type) -> object:
    return kind(
        method,
        request_deserializer=request.FromString,  # type: ignore[attr-defined] # a protobuf class
        response_serializer=lambda message: message.SerializeToString(),
    )
