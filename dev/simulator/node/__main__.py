"""`python3 -m simulator.node`: serve the simulated GPUs to this node's kubelet and label the node, until a signal.

Environment: NODE_NAME; HIPBMM_SYSFS (/opt/simulator/sys); DEVICE_PLUGIN_DIR, the kubelet's device-plugin directory as
mounted here, and HOST_DEVICE_PLUGIN_DIR, the same directory's path on the host. The files that stand for
/dev/dri/renderDN live in its directory hipbmm-simulator, which the kubelet leaves alone.
"""

import logging
import os
import signal
import threading
from pathlib import Path

import grpc  # type: ignore[import-untyped,import-not-found,unused-ignore] # only in the image

from simulator.node.devices import NodeDevice, labels, read_devices
from simulator.node.labeller import Labeller
from simulator.node.plugin import Inventory, Registered

_LOGGER = logging.getLogger("simulator.node")
_FILES = "hipbmm-simulator"
_POLL_SECONDS = 1.0
_POLLS_PER_LABELLING = 15


class Agent:
    """The loop around the plugin and the labeller: every second it looks whether something has to be done again."""

    def __init__(self, inventory: Inventory, directory: Path, labeller: Labeller) -> None:
        self._inventory = inventory
        self._directory = directory
        self._labeller = labeller
        self._wanted = labels(inventory.devices)
        self._registered: Registered | None = None

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop`` is set."""
        poll = 0
        while not stop.is_set():
            self._inventory.refresh()
            self._keep_registered()
            if poll % _POLLS_PER_LABELLING == 0:
                self._keep_labelled()
            poll += 1
            stop.wait(_POLL_SECONDS)
        self._inventory.close()
        if self._registered is not None:
            self._registered.stop()

    def _keep_registered(self) -> None:
        if self._registered is not None and self._registered.is_stale():
            _LOGGER.info("the kubelet restarted")
            self._registered.stop()
            self._registered = None
        if self._registered is None:
            try:
                self._registered = Registered(self._inventory, self._directory)
            except grpc.RpcError as error:
                _LOGGER.warning("the kubelet does not answer: %s", error)
                return
            _LOGGER.info("registered %d devices", len(self._inventory.devices))

    def _keep_labelled(self) -> None:
        try:
            if self._labeller.ensure(self._wanted):
                _LOGGER.info("labelled the node: %s", self._wanted)
        except OSError as error:
            _LOGGER.warning("the node cannot be labelled: %s", error)


def make_files(devices: list[NodeDevice], files: Path) -> None:
    """The files that stand for the devices; one that is removed later makes its device unhealthy."""
    (files / "dri").mkdir(parents=True, exist_ok=True)
    for path in (files / "kfd", *(files / f"dri/renderD{device.minor}" for device in devices)):
        path.touch()
        path.chmod(0o666)  # the render nodes of a real host are open to all users of a container, too


def main() -> None:
    """Run the agent."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    devices = read_devices(Path(os.environ.get("HIPBMM_SYSFS", "/opt/simulator/sys")))
    directory = Path(os.environ.get("DEVICE_PLUGIN_DIR", "/var/lib/kubelet/device-plugins"))
    host = Path(os.environ.get("HOST_DEVICE_PLUGIN_DIR", str(directory)))
    make_files(devices, directory / _FILES)
    inventory = Inventory(devices, directory / _FILES, host / _FILES)
    Agent(inventory, directory, Labeller(os.environ["NODE_NAME"])).run(stop)


if __name__ == "__main__":
    main()
