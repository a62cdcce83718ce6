"""Foreign text in our own lines."""

import pytest

from hipbmm_kernel.system.shown import one_line, shown

HOSTILE = ["\r", "\n", "\x1b[2J", "\x0b", "\x85", "\u2028", "\u202e", "\0", "\ud800", "\x7f"]


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_that_a_terminal_or_a_reader_of_lines_acts_on_is_left(text: str) -> None:
    for made in (one_line(f"a{text}b"), shown(f"a{text}b")):
        assert made.isprintable()
        assert len(made.splitlines()) == 1
        assert "a" in made
        assert "b" in made


def test_plain_text_stays() -> None:
    assert one_line("warm: 3 rows, 12 µs") == "warm: 3 rows, 12 µs"
    assert shown("x" * 500) == f"'{'x' * 120}'"
