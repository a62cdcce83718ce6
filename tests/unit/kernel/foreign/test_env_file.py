"""The file that kubelet reads: what is written is read back, what cannot be is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hipbmm_kernel.foreign import env_file

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True)
VALUES = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="'"), max_size=80)


@given(st.dictionaries(NAMES, VALUES))
def test_what_is_written_is_read(variables: dict[str, str]) -> None:
    assert env_file.decode(env_file.encode(variables)) == variables


@pytest.mark.parametrize("value", ["it's", "two\nlines", "carriage\rreturn", "nul\0", "x" * 65_536])
def test_what_kubelet_would_refuse_is_not_written(value: str) -> None:
    with pytest.raises(ValueError, match="cannot stand in an env file"):
        env_file.encode({"PYTHONPATH": value})


@pytest.mark.parametrize("name", ["", "a b", "1A", "A-B", "A=B", "#A"])
def test_a_name_that_is_none_is_not_written(name: str) -> None:
    with pytest.raises(ValueError, match="cannot stand in an env file"):
        env_file.encode({name: "x"})


@pytest.mark.parametrize("text", ["A", "A=", "A=x", "A ='x'", "A= 'x'", "A='x", "A='x'y", "='x'"])
def test_a_line_that_kubelet_refuses_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="line 1"):
        env_file.decode(text.encode())


def test_nothing_is_a_file_too() -> None:
    assert env_file.encode({}) == b""
    assert env_file.decode(b"") == {}
