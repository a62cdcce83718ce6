"""One test per hostile file that AITER's reader was questioned about: what a careful tool must make of it."""

from __future__ import annotations

import base64
from typing import NamedTuple

import pytest
from tests.unit.kernel import aiter_reader
from tests.unit.kernel.csvtext import HEADER, NAME, file, key, row

from hipbmm_kernel.rows import aiter_csv

GOOD = row(64, index=4711)


class Case(NamedTuple):
    """A file and what is expected of it; `rejected` maps a line to words of its reason."""

    data: bytes
    accepted: tuple[int, ...] = ()
    foreign: int = 0
    duplicates: int = 0
    conflicts: int = 0
    rejected: dict[int, str] = {}  # noqa: RUF012 - never changed
    refused: str = ""


def with_row(line: str, reason: str) -> Case:
    """The line is left out with that reason, the good row after it is kept."""
    return Case(file(line, GOOD), accepted=(4711,), rejected={2: reason})


def rejected_field(column: int, text: str, reason: str) -> Case:
    fields = row().split(",")
    fields[column] = text
    return with_row(",".join(fields), reason)


def foreign_field(**columns: str) -> Case:
    fields = row().split(",")
    for name, text in columns.items():
        fields[int(name.removeprefix("c"))] = text
    return Case(file(",".join(fields), GOOD), accepted=(4711,), foreign=1)


SPREADSHEET_ROW = row().replace("true,true", "True,True")
PANDAS_ROW = f"0,{row()}"
CASES = {
    "2 empty file": Case(b""),
    "2 header only": Case(file()),
    "2 lone line end": Case(b"\n"),
    "3 no header": Case(file(row(), header=""), accepted=(777,)),
    "3 header says bpreshuffle": Case(file(row(), header=HEADER.replace("pre", "bpre", 1)), accepted=(777,)),
    "3 header again after cat": Case(file(row(), HEADER, GOOD), accepted=(777, 4711)),
    "4 CRLF": Case(file(row(), GOOD).replace(b"\n", b"\r\n"), accepted=(777, 4711)),
    "5 no final newline": Case(file(GOOD, row())[:-1], accepted=(4711, 777)),
    "5 no final newline, one row": Case(file(row())[:-1], accepted=(777,)),
    "5 no final newline, names differ": Case(file(row(1, name="A_WG16"), row(2, 32, name="B_WG8"))[:-1], (777, 777)),
    "6 cut inside kernel_name": Case(file(GOOD, row())[:-30], accepted=(4711,), rejected={3: "kernel_name"}),
    "6 cut after its first letters": Case(
        file(GOOD, row(name="Cijk_Ailk"))[:-1], accepted=(4711,), rejected={3: "is cut"}
    ),
    "6 cut before kernel_name": Case(file(GOOD, f"{key()},777,")[:-1], accepted=(4711,), rejected={3: "is empty"}),
    "7 cut before column 20": Case(file(GOOD, f"{key()},777")[:-1], accepted=(4711,), rejected={3: "19 columns"}),
    "7 cut in the middle of the file": with_row(f"{key()},777", "19 columns"),
    "9 partial row glued to the next": Case(
        file(f"{row()[:60]}{row(2)}", GOOD), accepted=(777, 4711), rejected={2: "cut before the end"}
    ),
    "9 whole row glued to the next": Case(file(f"{row(8)}{row(2, index=9)}", GOOD), accepted=(777, 9, 4711)),
    "9 cut name glued to the next": Case(
        file(f"{row(8)[:-9]}{row(2, index=9)}", GOOD), accepted=(9, 4711), rejected={2: "kernel_name"}
    ),
    "9 cut in the first word": Case(file(f"tr{row(2)}", GOOD), accepted=(777, 4711), rejected={2: "columns"}),
    "10 empty algo_index": with_row(row(index=""), "solution 0"),
    "11 algo_index -1": with_row(row(index=-1), "negative"),
    "11 algo_index 0": with_row(row(index=0), "unset candidate"),
    "12 above int": with_row(row(index=2147483653), "wraps"),
    "12 wraps to 5": with_row(row(index=4294967301), "wraps"),
    "12 wraps to 0": with_row(row(index=2**32), "wraps"),
    "12 twenty digits": with_row(row(index="9" * 20), "wraps"),
    "12 largest index": Case(file(row(index=2**31 - 1)), accepted=(2**31 - 1,)),
    "13 plus sign": with_row(row(index="+5"), "sign"),
    "13 leading blank": with_row(row(index=" 5"), "blank"),
    "13 leading zeros": with_row(row(index="007"), "leading zero"),
    "14 trailing blank": with_row(row(index="5 "), "blank"),
    "14 scientific": with_row(row(index="1e3"), "scientific"),
    "14 hexadecimal": with_row(row(index="0x10"), "hexadecimal"),
    "14 decimal": with_row(row(index="5.0"), "decimal"),
    "14 tab after digits": with_row(row(index="5\t"), "blank"),
    "15 capitalised": with_row(SPREADSHEET_ROW, "capitalised"),
    "15 decimal n": rejected_field(5, "8.0", "decimal"),
    "15 quoted fields": with_row(",".join(f'"{field}"' for field in row().split(",")), "quoted"),
    "15 semicolons": with_row(row().replace(",", ";"), "semicolons"),
    "15 tabs": with_row(row().replace(",", "\t"), "tabs"),
    "15 blanks after commas": with_row(row().replace(",", ", "), "blank"),
    "15 extra index column": with_row(PANDAS_ROW, "pandas"),
    "15 large numbers": rejected_field(6, "1E+05", "scientific"),
    "16 quoted name": with_row(row(name=f'"{NAME}"'), "quoted"),
    "16 comma in the name": with_row(row(name="a,b"), "21 columns"),
    "16 quoted comma in the name": with_row(row(name='"a,b"'), "quoted field"),
    "16 trailing comma": with_row(f"{row()},", "trailing comma"),
    "17 BOM before the header": Case(b"\xef\xbb\xbf" + file(row()), accepted=(777,)),
    "17 BOM before the first row": Case(b"\xef\xbb\xbf" + file(row(), header=""), accepted=(777,)),
    "17 BOM in the middle after cat": Case(file(GOOD) + b"\xef\xbb\xbf" + file(row()), accepted=(4711, 777)),
    "18 UTF-16": Case(file(row()).decode().encode("utf-16"), refused="UTF-16"),
    "18 UTF-16 without a mark": Case(file(row()).decode().encode("utf-16-le"), refused="UTF-16"),
    "18 UTF-16 big endian": Case(file(row()).decode().encode("utf-16-be"), refused="UTF-16"),
    "18 CR only": Case(file(row(), GOOD).replace(b"\n", b"\r"), refused="CR only"),
    "18 gzip": Case(b"\x1f\x8b\x08\0\0\0\0\0\0\x03" + b"x" * 40, refused="gzip"),
    "18 spreadsheet": Case(b"PK\x03\x04" + b"x" * 40, refused="spreadsheet"),
    "19 hole inside a row": Case(
        file(row(2), GOOD).replace(b"bf16_r", b"\0" * 6, 1), accepted=(4711,), rejected={2: "NUL"}
    ),
    "19 hole before a row": Case(file("\0" * 512 + row(2), GOOD), accepted=(4711,), rejected={2: "NUL"}),
    "19 hole over line ends": Case(
        file(GOOD) + row().encode()[:50] + b"\0" * 700 + row(2).encode()[9:] + b"\n", (4711,), rejected={3: "NUL"}
    ),
    "19 all NUL": Case(b"\0" * 4096, refused="NUL"),
    "20 conflict markers": Case(
        file("<<<<<<< HEAD", row(), "=======", row(index=5), ">>>>>>> theirs"), refused="conflict marker"
    ),
    "20 a conflict marker in the first line": Case(
        b"<<<<<<< HEAD\n" + file(row()), refused="line 1 is a conflict marker"
    ),
    "20 only the middle marker": Case(file(row(), "======="), refused="line 3 is a conflict marker"),
    "21 equal duplicates": Case(file(row(), row(), GOOD, row()), accepted=(777, 4711), duplicates=2),
    "21 different index": Case(file(row(), row(index=5), GOOD), accepted=(777, 4711), conflicts=1),
    "22 types without a name": Case(file(row(fp8="<?>"), GOOD), accepted=(777, 4711)),
    "22 such types in conflict": Case(file(row(fp8="<?>"), row(fp8="<?>", index=9)), accepted=(777,), conflicts=1),
    "23 empty stride": rejected_field(9, "", "empty"),
    "24 M above 512": with_row(row(513), "above 512"),
    "24 M of 512": Case(file(row(512)), accepted=(777,)),
    "24 M of 0": with_row(row(0), "is 0"),
    "25 lda differs": foreign_field(c8="5121"),
    "25 ldc differs": foreign_field(c14="64"),
    "25 transposition differs": foreign_field(c2="N"),
    "25 batch of 2": foreign_field(c17="2"),
    "25 not preshuffled": foreign_field(c0="false"),
    "25 bf16": foreign_field(c7="bf16_r", c10="bf16_r"),
    "25 foreign duplicates": Case(
        file(row().replace("true", "false", 1), row().replace("true", "false", 1)), foreign=1, duplicates=1
    ),
    "26 comments and blank lines": Case(file("# 2026", "", row(), "#x"), accepted=(777,)),
    "26 comment before the header": Case(b"# provenance\n" + file(row()), accepted=(777,)),
    "26 nan": rejected_field(4, "nan", "not a number"),
    "26 trailing blank of the line": with_row(f"{row()} ", "blank"),
    "9.4.1 stray quote": Case(file(row(name='Cijk"'), row(2), GOOD), accepted=(777, 4711), rejected={2: "quoted"}),
    "9.4.2 negative text that wraps": with_row(row(index=-4294967291), "negative"),
    "9.4.2 minus zero": with_row(row(index="-0"), "unset candidate"),
    "9.4.2 beyond long": with_row(row(index=2**63), "wraps"),
    "9.4.3 negative hides the re-tuned row": Case(
        file(row(index=-1), row(index=812)), accepted=(812,), rejected={2: "negative"}
    ),
    "9.4.3 zero hides the re-tuned row": Case(
        file(row(index=0), row(index=812)), accepted=(812,), rejected={2: "unset"}
    ),
    "9.4.4 vertical tab before a number": rejected_field(6, "\v5120", "blank"),
    "9.4.4 form feed": rejected_field(6, "\f5120", "blank"),
    "9.4.4 stride +0": rejected_field(9, "+0", "sign"),
    "9.4.4 stride -0": rejected_field(9, "-0", "sign"),
    "9.4.4 stride 00": rejected_field(9, "00", "leading zero"),
    "9.4.4 Unicode digits": rejected_field(6, "٥١٢٠", "not a number"),
    "9.4.4 superscript digit": rejected_field(6, "512\xb2", "not a number"),
    "9.4.4 underscore": rejected_field(18, "1_000", "not a number"),
    "9.4.4 no-break space": rejected_field(18, "\xa05", "not a number"),
    "9.4.5 NUL inside kernel_name": Case(file(row(name="Ci\0jk"), GOOD), accepted=(4711,), rejected={2: "NUL"}),
    "9.4.5 separators that end no line": Case(
        file(row(name="a\x0cb"), row(2, name="a\x1cb"), row(4, name="a\x85b"), GOOD),
        accepted=(4711,),
        rejected={2: "kernel_name", 3: "kernel_name", 4: "kernel_name"},
    ),
    "9.4.6 header swaps m and n": Case(file(row(), header=HEADER.replace(" m, n,", " n, m,")), refused="another order"),
    "9.4.6 two torn rows splice into 20 fields": Case(
        file(",".join([*row(1, 10240).split(",")[:10], *row(64, 51200).split(",")[10:]]), GOOD),
        accepted=(4711,),
        foreign=1,
    ),
    "9.4.7 comment without a line end before the row": Case(b"#note" + file(row(), GOOD, header=""), accepted=(4711,)),
    "more: an own shard is not AITER's file": Case(b"#hipbmm-shard v1 key=x\n", refused="shard"),
    "more: half a header": Case(file(row(), header=HEADER[:60]), accepted=(777,), rejected={1: "header"}),
    "more: unknown type": rejected_field(7, "f8_e4m3", "not one of"),
    "more: size beyond int": rejected_field(4, "2147483648", "too large"),
    "more: stride beyond long": rejected_field(9, "1" * 20, "too large"),
    "more: no text at all": Case(b"\x89PNG\r\n\x1a\n\xff\xfe", refused="no row and no header"),
    "no table: random bytes": Case(bytes(range(256)) * 40, refused="no row and no header"),
    "no table: a hole alone, with line ends": Case(b"\0" * 100 + b"\n" + b"\0" * 100 + b"\n", refused="NUL"),
    "no table: HTML": Case(b"<!DOCTYPE html>\n<html><body>404, true, not found</body></html>\n", refused="HTML"),
    "no table: JSON": Case(b'{"rows": [1, 2]}\n', refused="JSON"),
    "no table: a git-lfs pointer": Case(
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", refused="git-lfs"
    ),
    "no table: TunableOp": Case(
        b"Validator,PT_VERSION,2.10.0\nValidator,HIP_VERSION,702\n"
        b"GemmTunableOp_BFloat16_NN,nn_1024_1024_1024_ld_1024_1024_1024,Gemm_Rocblas_-621294427,0.0105563\n",
        refused="TunableOp",
    ),
    "no table: hipBLASLt's override file": Case(
        b"Git Version: dabb6df2b9\ntransA,transB,grouped_gemm,batch_count,m,n,k,alpha,lda\nT,N,0,1,10240,1,5120\n",
        refused="override",
    ),
    "no table: AITER's table for another GEMM": Case(
        b"cu_num,M,N,K,kernelId,splitK,us,kernelName,tflops,bw,errRatio\n304,1,1280,8192,78,0,6.5,x,1,2,0.0\n",
        refused="another of AITER's tuned tables",
    ),
    "no table: AITER's bf16 table": Case(
        b"gfx,cu_num,M,N,K,bias,dtype,outdtype,scaleAB,bpreshuffle,libtype,solidx,splitK\n"
        b"gfx942,304,1,1280,8192,False,torch.bfloat16,torch.bfloat16,False,True,hipblaslt,4711,0\n",
        refused="another of AITER's tuned tables",
    ),
    "no table: AITER's table of experts": Case(
        b"cu_num,token,model_dim,inter_dim,expert,topk,act_type,dtype\n304,1,4096,1536,128,8,Silu,torch.bfloat16\n",
        refused="another of AITER's tuned tables",
    ),
    "no table: what hipblaslt-bench prints": Case(
        b"[0]:transA,transB,grouped_gemm,batch_count,m,n,k,alpha,lda,stride_a,beta\n"
        b"    T,N,0,1,1280,1,8192,1,8192,10485760,0\n",
        refused="a header of 11 columns that is not AITER's",
    ),
    "no table: TunableOp without its header": Case(
        b"GemmTunableOp_Half_TN,tn_8192_1_1280,Gemm_Hipblaslt_TN_61400,0.01\n", refused="TunableOp"
    ),
    "no table: a tar archive of one": Case(
        b"table.csv".ljust(257, b"\0") + b"ustar\x0000".ljust(255, b"\0") + file(row()), refused="tar archive"
    ),
    "no table: a database": Case(b"SQLite format 3\0" + bytes(200), refused="NUL"),
    "no table: the names of the columns in Markdown": Case(
        b"| preshuffle | use_rowwise | m | n | k | algo_index |\n|---|---|---|---|---|---|\n",
        refused="no row and no header",
    ),
    "no table: a log": Case(b"INFO 11-29 09:00:00 [api_server.py] started, m=1\n" * 30, refused="no row and no header"),
    "no table: rows in base64": Case(base64.encodebytes(file(row()) * 20), refused="no row and no header"),
    "no table: another code page": Case(file(row()).decode().encode("cp037"), refused="no row and no header"),
    "no table: AITER's list of shapes": Case(
        b"M,N,K,bias,dtype,outdtype\n1,1280,8192,False,torch.bfloat16,torch.bfloat16\n", refused="to be tuned"
    ),
    "no table: prose": Case(b"These are the rows of Tuesday.\nSee the other file.\n", refused="no row and no header"),
    "a row is not recovered: a control character in front": Case(
        file("\x1b[2K" + row()[:30] + row(2), GOOD), accepted=(4711,), rejected={2: ""}
    ),
    "a row is not recovered: a tab in front": Case(
        file("true,true,\t" + row(2), GOOD), accepted=(4711,), rejected={2: ""}
    ),
    "a row is not recovered: a second header in the line": Case(
        file(row()[:40] + HEADER + row(2), GOOD), accepted=(4711,), rejected={2: ""}
    ),
    "a row is not recovered: a header in front": Case(
        HEADER.encode() + row().encode() + b"\n" + file(GOOD, header=""), accepted=(4711,), rejected={1: ""}
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_hostile_file(case: Case) -> None:
    parsed = aiter_csv.parse(case.data)

    assert (parsed.refused or "").count(case.refused) >= (1 if case.refused else 0)
    assert bool(parsed.refused) == bool(case.refused)
    assert tuple(row.algo_index for row in parsed.accepted) == case.accepted
    assert len(parsed.foreign) == case.foreign
    assert parsed.duplicates == case.duplicates
    assert len(parsed.conflicts) == case.conflicts
    assert {finding.line for finding in parsed.rejected} == set(case.rejected)
    for finding in parsed.rejected:
        assert case.rejected[finding.line] in finding.reason


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_repaired_file_is_read_alike_by_aiter_and_by_us(case: Case) -> None:
    repaired = aiter_csv.repaired(aiter_csv.parse(case.data))

    assert repaired.endswith(b"\n")
    assert repaired.isascii()
    answers = aiter_reader.table(repaired)
    assert all(index >= 1 for index in answers.values())
    again = aiter_csv.parse(repaired)
    assert sorted(row.algo_index for row in again.accepted) == sorted(case.accepted)
    assert len(answers) == len(case.accepted) + case.foreign
    assert (again.duplicates, again.conflicts, again.rejected, again.refused) == (0, (), (), None)
    assert aiter_csv.repaired(again) == repaired


def test_one_line_may_hold_several_reasons_but_each_part_is_named() -> None:
    glued = file(f"{row()[:40]}{row()[:40]}{row(2)}")

    parsed = aiter_csv.parse(glued)

    assert [finding.line for finding in parsed.rejected] == [2, 2]
    assert [kept.problem.m for kept in parsed.accepted] == [2]


def test_too_many_rows_refuse_the_file() -> None:
    data = file(*(row(m) for m in range(1, 12)))

    assert aiter_csv.parse(data, max_rows=10).refused == "more than 10 rows"
    assert aiter_csv.parse(data, max_rows=11).refused is None


def test_in_a_part_of_a_file_each_line_is_read_alone() -> None:
    swapped = HEADER.replace(" m, n,", " n, m,")
    part = file("<<<<<<< HEAD", "\0" * 50, swapped, "{}", row(), "\xff\xfe", header="<html>")

    parsed = aiter_csv.parse_lines(part)

    assert parsed.refused is None
    assert [kept.problem.m for kept in parsed.accepted] == [1]
    assert len(parsed.rejected) == 6


def test_a_large_file_is_read_in_linear_time_without_a_reject() -> None:
    data = file(*(row(m, n) for n in range(16, 16 * 21, 16) for m in range(1, 513)))

    assert len(aiter_csv.parse(data).accepted) == 20 * 512
