from pathlib import Path

from localkube import pipconfig


def test_later_files_and_then_variables_win() -> None:
    files = ["[global]\nindex-url = https://one.invalid\ntimeout = 5\n", "[global]\nindex-url = https://two.invalid\n"]
    text = pipconfig.merged(files, {"PIP_TIMEOUT": "60", "HOME": "/h"})
    assert "index-url = https://two.invalid" in text
    assert "timeout = 60" in text
    assert "one.invalid" not in text


def test_what_names_files_of_this_machine_stays_behind() -> None:
    text = pipconfig.merged(
        ["[global]\ncert = /etc/ssl/x.pem\n[install]\nuser = true\n"],
        {"PIP_FIND_LINKS": "/opt/wheels https://links.invalid", "PIP_CACHE_DIR": "/c", "PIP_NO_INDEX": ""},
    )
    assert "/etc" not in text
    assert "/opt" not in text
    assert "/c" not in text
    assert "user" not in text
    assert "find-links = https://links.invalid" in text


def test_a_machine_without_configuration_gives_an_empty_one() -> None:
    assert pipconfig.merged([], {}) == ""


def test_a_percent_sign_in_a_password_is_no_interpolation() -> None:
    url = "https://user:p%40ss@index.invalid/simple"
    assert url in pipconfig.merged([], {"PIP_INDEX_URL": url})


def test_the_config_variable_adds_a_file_or_switches_all_off() -> None:
    assert pipconfig.locations({"PIP_CONFIG_FILE": "/dev/null", "HOME": "/h"}) == []
    assert pipconfig.locations({"PIP_CONFIG_FILE": "/x", "HOME": "/h"})[-1] == Path("/x")
    assert Path("/h/.config/pip/pip.conf") in pipconfig.locations({"HOME": "/h"})
