import pytest

from localkube import aptsources

DEB822 = """\
# comment
Types: deb deb-src
URIs: http://mirror.invalid/debian
 https://second.invalid/pub/debian/
Suites: bookworm bookworm-updates
Components: main contrib

Types: deb
URIs: http://mirror.invalid/debian-security
Suites: bookworm-security
Components: main

Enabled: no
Types: deb
URIs: http://off.invalid/debian
Suites: bookworm
Components: main

Types: deb-src
URIs: http://source.invalid/debian
Suites: bookworm
Components: main
"""
ONE_LINE = """\
# deb http://comment.invalid/debian bookworm main
deb [arch=amd64 signed-by=/x.gpg] http://mirror.invalid/debian bookworm main contrib
deb-src http://source.invalid/debian bookworm main
deb http://vendor.invalid/linux/debian bookworm stable
deb cdrom:[Debian]/ bookworm main
"""


def test_deb822_stanzas_that_are_enabled_binary_and_main() -> None:
    assert list(aptsources.parse_deb822(DEB822)) == [
        ("http://mirror.invalid/debian", "bookworm"),
        ("http://mirror.invalid/debian", "bookworm-updates"),
        ("https://second.invalid/pub/debian/", "bookworm"),
        ("https://second.invalid/pub/debian/", "bookworm-updates"),
        ("http://mirror.invalid/debian-security", "bookworm-security"),
    ]


def test_the_main_archive_comes_once_each_in_order() -> None:
    found = aptsources.debian_mirrors(aptsources.parse_deb822(DEB822))
    assert found == ["http://mirror.invalid/debian", "https://second.invalid/pub/debian"]


def test_one_line_sources_without_vendors_and_media() -> None:
    assert aptsources.debian_mirrors(aptsources.parse_one_line(ONE_LINE)) == ["http://mirror.invalid/debian"]


@pytest.mark.parametrize(
    ("address", "suite"),
    [
        ("http://vendor.invalid/apt", "bookworm"),
        ("http://mirror.invalid/debian-security", "bookworm-security"),
        ("mirror+file:/etc/apt/mirrors/debian", "bookworm"),
    ],
)
def test_third_parties_security_and_lists_of_mirrors_are_no_mirror(address: str, suite: str) -> None:
    assert aptsources.debian_mirrors([(address, suite)]) == []


def test_apts_own_view_goes_by_the_label_whatever_the_address() -> None:
    text = (
        "Vendor|Vendor|http://vendor.invalid/debian/\n"
        "Debian|Debian|http://proxy.invalid/repository/deb-remote/\n"
        "Debian|Debian|http://proxy.invalid/repository/deb-remote/\n"
        "Debian|Debian-Security|http://proxy.invalid/security/\n"
        "Debian|Debian|cdrom://x/\n"
    )
    assert aptsources.parse_targets(text) == ["http://proxy.invalid/repository/deb-remote"]
    assert aptsources.parse_targets("") == []
