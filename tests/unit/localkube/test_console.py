import io

from localkube.console import Console, elapsed


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_log_gets_a_state_once_in_an_interval() -> None:
    stream = io.StringIO()
    now = [100.0]
    console = Console(stream, interval=15, clock=lambda: now[0])
    for seconds in (0, 1, 14, 15, 16):
        now[0] = 100.0 + seconds
        console.moving(f"at {seconds}")
    assert stream.getvalue() == "at 0\nat 15\n"


def test_a_terminal_shows_the_state_on_one_line_and_erases_it() -> None:
    stream = Terminal()
    console = Console(stream)
    console.moving("one")
    console.moving("two")
    console.line("done")
    assert stream.getvalue() == "one\r   \rtwo\r   \rdone\n"


def test_times_are_for_people() -> None:
    assert [elapsed(seconds) for seconds in (0.4, 59.9, 60, 754)] == ["0s", "59s", "1m00s", "12m34s"]
