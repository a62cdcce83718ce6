"""What DeviceClasses hand out: the names of resources, and whether these are whole GPUs."""

import pytest
from tests.unit.operator.detect.nodes import WHOLE, Json, chosen_by, device_class

from hipbmm_operator.detect.sources.dra import extended_resources

OF = 'device.attributes["gpu.amd.com"]'
SPX = f'{OF}.computePartition == "spx"'


@pytest.mark.parametrize(
    "rule",
    [
        SPX,
        f"device.driver == 'gpu.amd.com' &&\n(!has({OF}.computePartition) ||\n {SPX})",  # the driver's chart, 1.1
        f"!has({OF}.computePartition) || {SPX}",
        f'{SPX} && {OF}.memoryPartition == "nps1" && {OF}.deviceID in ["0x74a1", "0x74b5"]',
        f'{SPX} && device.capacity["gpu.amd.com"].memory.compareTo(quantity("100Gi")) >= 0',
        f'!({OF}.type == "vfio") && ( {SPX} ) && {OF}.deviceID.startsWith("0x")',
    ],
)
def test_a_device_class_of_whole_gpus_is_understood(rule: str) -> None:
    assert extended_resources([chosen_by(rule)]) == {"amd.com/gpu": True}


@pytest.mark.parametrize(
    "rule",
    [
        f'{OF}.type == "spx" || {OF}.computePartition == "cpx"',
        f'{SPX} || {OF}.computePartition == "cpx"',
        f'{OF}.computePartition == "cpx" || {SPX}',
        f'true || {SPX} && {OF}.type == "amdgpu"',
        f"!({SPX})",
        f"!(has({OF}.type) && {SPX} && true)",
        f"({SPX}) == false",
        f"{SPX} ? false : true",
        f"true ? true : {SPX}",
        f"[true && {SPX} && true, true].exists(x, x)",
        f"cel.bind(a, {OF}, true && {SPX} && true) || true",
        f"{OF}.productName != 'x && {SPX} && y'",
        f'{SPX} && f("(") || g(")")',
        f"{SPX} && f(g((h(x))))",
        f'{OF}.computePartition != "spx"',
        'device.attributes["other"].computePartition == "spx" && device.driver == "gpu.amd.com"',
    ],
)
def test_what_is_not_understood_of_a_device_class_is_not_known_to_be_whole_gpus(rule: str) -> None:
    assert extended_resources([chosen_by(rule)]) == {"amd.com/gpu": False}


def test_a_name_of_two_device_classes_is_one_of_whole_gpus_if_both_are() -> None:
    for classes in ([WHOLE, device_class()], [device_class(), WHOLE]):
        assert extended_resources(classes) == {"amd.com/gpu": False}


@pytest.mark.parametrize(
    ("classes", "names"),
    [
        ([device_class()], {"amd.com/gpu": False}),
        ([device_class(name="fast")], {"amd.com/gpu": False}),
        ([device_class(driver="")], {"amd.com/gpu": False}),
        ([device_class(name="all", driver="")], {"amd.com/gpu": False}),
        ([device_class(extended=None), WHOLE], {"amd.com/gpu": True}),
        ([device_class(extended=None)], {}),
        ([device_class(name="gpu.nvidia.com", driver="gpu.nvidia.com", extended="nvidia.com/gpu")], {}),
        ([{}, {"spec": None}, {"spec": {"selectors": [None, {"cel": 3}]}}], {}),
    ],
)
def test_the_names_that_device_classes_give_to_devices_of_this_driver(classes: list[Json], names: Json) -> None:
    assert extended_resources(classes) == names
