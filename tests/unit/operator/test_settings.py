"""Settings come from the environment, and a bad one is refused by name."""

import pytest

from hipbmm_operator import settings


def test_settings_come_from_the_environment() -> None:
    found = settings.parse({"HIPBMM_NAMESPACES": "a, b,", "HIPBMM_WORKERS": "3", "HIPBMM_RESYNC_SECONDS": "1.5"})
    assert (found.namespaces, found.workers, found.resync_seconds) == (("a", "b"), 3, 1.5)


@pytest.mark.parametrize(
    "environ",
    [
        {"HIPBMM_WORKERS": "many"},
        {"HIPBMM_RESYNC_SECONDS": "-1"},
        {"HIPBMM_LEASE_SECONDS": "10"},
        {"HIPBMM_REQUEST_SECONDS": "20"},
    ],
)
def test_settings_that_cannot_work_are_refused_by_name(environ: dict[str, str]) -> None:
    with pytest.raises(settings.SettingsError, match="HIPBMM_"):
        settings.parse(environ)
