"""The stand-in's table against what AITER's own reader and writer were seen to do."""

import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

HEADER = (
    "preshuffle, use_rowwise, trans_a, trans_b, m, n, k, A_data_type, lda, stride_a, B_data_type, ldb, stride_b, "
    "C_data_type, ldc, stride_c, compute_type, batch_count, algo_index, kernel_name"
)
KEY = "true,true,T,N,10240,1,5120,f8_e4m3_fnuz_r,5120,0,f8_e4m3_fnuz_r,5120,0,bf16_r,10240,0,f32_r,1"
ROW = f"{KEY},777,KERN"
FIELDS = ("true", "true", "T", "N", 10240, 1, 5120, "f8_e4m3_fnuz_r", 5120, 0, "f8_e4m3_fnuz_r", 5120, 0, "bf16_r")
TUPLE = (*FIELDS, 10240, 0, "f32_r", 1)


@pytest.fixture
def table(stand_in: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.chdir(tmp_path)
    return stand_in("aiter_simulator.table")


def index(text: str) -> str:
    return f"{KEY},{text},KERN\n"


# What AITER answered for each file; -1 is a miss. Index texts first, then whole files.
INDEX_TEXTS = {
    "": 0,
    "0": 0,
    "-1": -1,
    "777": 777,
    "+5": 5,
    " 5": 5,
    "\t5": 5,
    "\v5": 5,
    "\f5": 5,
    "\r5": 5,
    "007": 7,
    "-0": 0,
    "5 ": -1,
    "5\t": -1,
    "1e3": -1,
    "0x10": -1,
    "5.0": -1,
    " ": -1,
    "+": -1,
    "2147483647": 2147483647,
    "2147483653": -2147483643,
    "4294967296": 0,
    "4294967301": 5,
    "8589934592": 0,
    "9223372036854775808": -1,
    "99999999999999999999": -1,
    "-4294967291": 5,
    "-9223372036854775808": 0,
    "-99999999999999999999": 0,
    "1_000": -1,
    "٣": -1,
}
FILES = {
    "header": (f"{HEADER}\n{ROW}\n", 777),
    "no header": (f"{ROW}\n", 777),
    "header named bpreshuffle": (f"b{HEADER}\n{ROW}\n", 777),
    "header in the middle": (f"{HEADER}\n{index('9').replace('10240,1,', '10240,2,')}{HEADER}\n{ROW}\n", 777),
    "empty": ("", -1),
    "header only": (f"{HEADER}\n", -1),
    "crlf": (f"{HEADER}\r\n{ROW}\r\n", 777),
    "no final newline": (ROW, 777),
    "cut inside the name": (f"{KEY},777,KE", 777),
    "cut before the last column": (f"{KEY},777", -1),
    "lost digits": (index("77"), 77),
    "glued to the next row": (f"{KEY},777,KERN{ROW}\n", -1),
    "python booleans": (f"{ROW.replace('true', 'True')}\n", -1),
    "floats": (f"{ROW.replace('10240,1,', '10240.0,1.0,')}\n", -1),
    "quoted name": (f'{KEY},777,"KERN"\n', 777),
    "comma in the name": (f'{KEY},777,"KE,RN"\n', -1),
    "trailing comma": (f"{ROW},\n", -1),
    "semicolons": (f"{ROW.replace(',', ';')}\n", -1),
    "spaces after commas": (f"{ROW.replace(',', ', ')}\n", -1),
    "bom before the header": (f"\ufeff{HEADER}\n{ROW}\n", 777),
    "bom before the row": (f"\ufeff{ROW}\n", -1),
    "cr only": (f"{HEADER}\r{ROW}\r", -1),
    "comment": (f"# {ROW}\n\n{ROW}\n", 777),
    "first of two wins": (f"{index('5')}{ROW}\n", 5),
    "a negative index hides later rows": (f"{index('-1')}{ROW}\n", -1),
    "an ill-formed index does not": (f"{index('1e3')}{ROW}\n", 777),
    "empty strides": (f"{ROW.replace(',0,', ',,')}\n", 777),
    "signed zero strides": (f"{ROW.replace('5120,0,', '5120,-0,')}\n", 777),
    "leading blanks in numbers": (ROW.replace("10240,1,", " 10240,\v1,") + "\n", 777),
    "trailing blanks in numbers": (f"{ROW.replace('10240,1,', '10240 ,1,')}\n", -1),
    "nul in the name": (f"{KEY},777,KE\0RN\n", 777),
    "nul block before a row": (f"\0\0\0{ROW}\n", -1),
    "unicode line ends are none": (f"{KEY},777,KE\u2028RN\n", 777),
    "form feed is no line end": (f"{KEY},777,KE\fRN\n", 777),
    "another type": (f"{ROW.replace('f8_e4m3_fnuz_r', '<?>')}\n", -1),
    "m and n exchanged in the header": (f"{HEADER.replace(' m, n,', ' n, m,')}\n{ROW}\n", 777),
}


@pytest.mark.parametrize(("text", "expected"), INDEX_TEXTS.items(), ids=[repr(text) for text in INDEX_TEXTS])
def test_index_texts(table: ModuleType, text: str, expected: int) -> None:
    Path(table.PATH).write_bytes(index(text).encode())
    assert table.lookup(TUPLE) == expected


@pytest.mark.parametrize("name", FILES)
def test_files(table: ModuleType, name: str) -> None:
    text, expected = FILES[name]
    Path(table.PATH).write_bytes(text.encode())
    assert table.lookup(TUPLE) == expected


def test_a_missing_file_a_directory_and_a_dangling_link_are_misses(table: ModuleType, tmp_path: Path) -> None:
    assert table.lookup(TUPLE) == -1
    Path(table.PATH).symlink_to(tmp_path / "nowhere" / "file")
    assert table.lookup(TUPLE) == -1
    table.append(TUPLE, 5, "KERN")
    assert table.lookup(TUPLE) == -1
    Path(table.PATH).unlink()
    Path(table.PATH).mkdir()
    assert table.lookup(TUPLE) == -1
    table.append(TUPLE, 5, "KERN")
    assert Path(table.PATH).is_dir()


def test_a_dangling_link_is_created_through(table: ModuleType, tmp_path: Path) -> None:
    Path(table.PATH).symlink_to(tmp_path / "target.csv")
    table.append(TUPLE, 5, "KERN")
    assert (tmp_path / "target.csv").read_text().splitlines()[1] == f"{KEY},5,KERN"


def test_the_writers_bytes(table: ModuleType) -> None:
    table.append(TUPLE, 812, "KERN")
    table.append((*TUPLE[:4], 51200, 64, *TUPLE[6:14], 51200, *TUPLE[15:]), 4711, "KERN")
    assert Path(table.PATH).read_text() == (
        f"{HEADER}\n"
        "true,true,T,N,10240,1,5120,f8_e4m3_fnuz_r,5120,0,f8_e4m3_fnuz_r,5120,0,bf16_r,10240,0,f32_r,1,812,KERN\n"
        "true,true,T,N,51200,64,5120,f8_e4m3_fnuz_r,5120,0,f8_e4m3_fnuz_r,5120,0,bf16_r,51200,0,f32_r,1,4711,KERN\n"
    )
    assert Path(table.PATH).stat().st_mode & 0o777 == 0o644 & ~current_umask()
    assert table.lookup(TUPLE) == 812


def test_no_header_after_anything_and_glue_after_a_missing_newline(table: ModuleType) -> None:
    Path(table.PATH).write_text(ROW)
    table.append((*TUPLE[:5], 2, *TUPLE[6:]), 5, "KERN")
    assert Path(table.PATH).read_text() == f"{ROW}{KEY.replace('10240,1,', '10240,2,')},5,KERN\n"
    assert table.lookup(TUPLE) == -1


def test_a_cut_row_keeps_its_first_bytes(table: ModuleType) -> None:
    Path(table.PATH).write_text(f"{HEADER}\n")
    table.append(TUPLE, 5, "KERN", cut=60)
    assert Path(table.PATH).read_text() == f"{HEADER}\n{KEY[:60]}"


def test_a_file_that_cannot_be_opened_loses_the_row_silently(
    table: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object) -> int:
        raise PermissionError

    monkeypatch.setattr(table.os, "open", refuse)
    table.append(TUPLE, 5, "KERN")
    monkeypatch.undo()
    assert not Path(table.PATH).exists()


def _append_many(append: Callable[..., None], start: int) -> None:
    for number in range(start, start + 50):
        append((*TUPLE[:5], number, *TUPLE[6:]), 1 + number, "K" * 550)


def test_appends_of_many_processes_keep_whole_lines_and_one_header(table: ModuleType) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_append_many, args=(table.append, 1 + 50 * rank)) for rank in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    lines = Path(table.PATH).read_text().splitlines()
    assert lines[0] == HEADER
    assert len(lines) == 201
    assert {line.count(",") for line in lines} == {19}
    assert {table.lookup((*TUPLE[:5], number, *TUPLE[6:])) - 1 for number in range(1, 201)} == set(range(1, 201))


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
