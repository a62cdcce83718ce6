"""The figures of rooms, from those of files."""

from suite.room_coverage import LIMITED, by_room, table

FULL = {f"{room}/a.py": (9, 10) for room in LIMITED}


def test_a_room_is_the_sum_of_its_files_and_a_file_at_the_top_a_room_of_its_own() -> None:
    assert by_room({"watch/a.py": (3, 4), "watch/b.py": (0, 1), "manager.py": (2, 2)}) == {
        "manager": (2, 2),
        "watch": (3, 5),
    }


def test_a_limited_room_below_the_limit_or_without_figures_is_named() -> None:
    assert table(by_room(FULL))[1] == []
    assert table(by_room(FULL | {"watch/b.py": (0, 100)}))[1] == ["watch"]
    assert table({room: figures for room, figures in by_room(FULL).items() if room != "observe"})[1] == ["observe"]


def test_a_room_that_only_decides_has_no_limit() -> None:
    text, low = table(by_room(FULL | {"plan/a.py": (1, 10)}))
    assert low == []
    assert "plan          10.0 %" in text.splitlines()
