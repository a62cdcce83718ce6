"""Large files that are no tables: what they cost is bounded, whatever they hold."""

import random
import time
from collections.abc import Callable

import pytest
from tests.unit.kernel.csvtext import HEADER, file, row

from hipbmm_kernel.rows import aiter_csv, gemm

SIZE = 4 << 20
MOST_SECONDS = 10.0
"""Of processor time. A second where nothing is in the way; without the bounds the worst took minutes for 8 MiB."""

GARBAGE: dict[str, Callable[[], bytes]] = {
    "line ends": lambda: b"\n" * SIZE,
    "line ends of DOS": lambda: b"\r\n" * (SIZE // 2),
    "short lines": lambda: b"x\n" * (SIZE // 2),
    "comments": lambda: b"#\n" * (SIZE // 2),
    "one line of commas": lambda: b"," * SIZE,
    "lines of commas": lambda: b",\n" * (SIZE // 2),
    "empty fields": lambda: (b"," * 19 + b"\n") * (SIZE // 20),
    "starts of rows on one line": lambda: b"true,true,T,N," * (SIZE // 14),
    "starts of rows": lambda: b"true,true,T,N,\n" * (SIZE // 15),
    "almost conflict markers": lambda: b"=======x\n" * (SIZE // 9),
    "random bytes": lambda: random.Random(1).randbytes(SIZE),
    "one line of NULs": lambda: HEADER.encode() + b"\n" + b"\0" * SIZE,
}


@pytest.mark.parametrize("make", GARBAGE.values(), ids=GARBAGE.keys())
def test_a_large_file_that_is_no_table_is_read_in_bounded_time(make: Callable[[], bytes]) -> None:
    data, began = make(), time.process_time()
    parsed = aiter_csv.parse(data)
    assert time.process_time() - began < MOST_SECONDS
    assert parsed.accepted == ()
    assert parsed.refused or len(parsed.rejected) <= aiter_csv.MAX_REJECTED
    assert len(parsed.refused or "") < 300


def test_so_many_wrong_lines_cost_no_row_and_one_more_refuses_the_file() -> None:
    wrong = "cut," * 3
    at_most = file(row(), *[wrong] * aiter_csv.MAX_REJECTED)
    assert len(aiter_csv.parse(at_most).accepted) == 1
    refused = aiter_csv.parse(at_most + wrong.encode() + b"\n").refused
    assert refused is not None
    assert f"more than {aiter_csv.MAX_REJECTED} lines are no rows" in refused


def test_a_part_of_a_file_keeps_its_rows_beside_any_number_of_wrong_lines() -> None:
    parsed = aiter_csv.parse_lines(b"x\n" * (2 * aiter_csv.MAX_REJECTED) + file(row()))
    assert (len(parsed.accepted), len(parsed.rejected)) == (1, aiter_csv.MAX_REJECTED)


def test_a_line_that_is_too_long_costs_that_line() -> None:
    parsed = aiter_csv.parse(file(row(), "x" * (aiter_csv.MAX_LINE + 1), row(2)))
    assert (len(parsed.accepted), [finding.line for finding in parsed.rejected]) == (2, [3])


def test_too_many_lines_of_any_kind_refuse_the_file() -> None:
    assert (
        aiter_csv.parse(file(row()) + b"\n" * aiter_csv.MAX_LINES).refused == f"more than {aiter_csv.MAX_LINES} lines"
    )


@pytest.mark.parametrize("before", [b"", file(row())])
@pytest.mark.parametrize("marker", [b"<<<<<<< ours", b"||||||| base", b"=======", b">>>>>>> theirs"])
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n" + file(row())])
def test_a_conflict_marker_refuses_the_file_wherever_it_is(before: bytes, marker: bytes, end: bytes) -> None:
    line = before.count(b"\n") + 1
    assert aiter_csv.parse(before + marker + end).refused == (
        f"line {line} is a conflict marker of a version control system"
    )


@pytest.mark.parametrize("text", [b"x=======", b"=======x", b" <<<<<<<", b"======"])
def test_the_characters_of_a_marker_elsewhere_are_none(text: bytes) -> None:
    assert "conflict marker" not in (aiter_csv.parse(text + b"\n" + file(row())).refused or "")


@pytest.mark.parametrize("columns", range(1, 20))
@pytest.mark.parametrize("fp8", gemm.FP8_TYPES)
def test_the_end_of_a_row_in_the_first_line_costs_that_line(fp8: str, columns: int) -> None:
    """AITER prints <?> for FP8 of gfx950: such a line is no HTML."""
    whole = row().replace(gemm.FNUZ, fp8)
    parsed = aiter_csv.parse(file(whole, header=whole.split(",", columns)[-1]))
    assert (parsed.refused, len(parsed.accepted), len(parsed.rejected)) == (None, 1, 1)


OTHER = (
    "gfx,cu_num,M,N,K,bias,dtype,outdtype,scaleAB,bpreshuffle,libtype,solidx,splitK,us,kernelName\n"
    "gfx942,304,1,256,512,True,torch.bfloat16,torch.bfloat16,False,True,hipblaslt,4711,0,12.5,Cijk_A\n"
)
"""AITER's tuned table of other calls."""


TABLES = {
    "another of AITER's tuned tables": OTHER,
    "TunableOp": "Validator,PT_VERSION,2.10.0\nGemmTunableOp_Half_TN,tn_8192_1_1280,Gemm_Hipblaslt_TN_61400,0.01\n",
    "results of PyTorch TunableOp": "ScaledGemmTunableOp_Float8_e4m3fnuz_BFloat16_TN,tn_8192_1_1280\n",
    "ROCBLAS_TENSILE_GEMM_OVERRIDE_PATH": (
        "transA,transB,M,N,batch_count,K,alpha,beta,lda,ldb,ldc,input_type,output_type,compute_type,solution_index\nT,N,1\n"
    ),
    "hipBLASLt's own override file": "Git Version: dabb6df2b9\ntransA,transB,batch_count,m,n,k\nT,N,1,10240,1,5120\n",
    "HIPBLASLT_TUNING_OVERRIDE_FILE": "transA,transB,batch_count,m,n,k,solution_index\nT,N,1,10240,1,5120,7\n",
    "to be tuned": "M,N,K\n1,1280,8192\n",
    "list of shapes": "B,M,N,K\n16,1,1280,8192\n",
    "shapes that are to be tuned": "token,model_dim,inter_dim,expert\n16,7168,256,257\n",
    "JSON": '{"a": 1}\n',
    "HTML or XML": "<?xml version='1.0'?>\n",
    "git-lfs": "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n",
}
FORMS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "empty lines first": lambda text: "\n\n" + text,
    "a comment first": lambda text: "# tuned on an MI300X\n" + text,
    "a byte order mark": lambda text: "\ufeff" + text,
    "semicolons": lambda text: text.replace(",", ";"),
    "tabs": lambda text: text.replace(",", "\t"),
    "blanks": lambda text: text.replace(",", ", "),
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "quotes": lambda text: "\n".join('"' + line.replace(",", '","') + '"' for line in text.splitlines()),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("words", TABLES)
def test_another_table_is_refused_once_by_its_name_in_whatever_form_it_was_saved(words: str, form: str) -> None:
    parsed = aiter_csv.parse(FORMS[form](TABLES[words]).encode())
    assert words in (parsed.refused or "")
    assert parsed == aiter_csv.Parsed(refused=parsed.refused)


@pytest.mark.parametrize(
    "text", [*(table.splitlines()[-1] * 3 for table in TABLES.values()), "a log, with a comma\n" * 9]
)
def test_lines_of_another_table_are_not_said_to_be_cut(text: str) -> None:
    parsed = aiter_csv.parse(text.encode())
    assert parsed.refused
    assert parsed == aiter_csv.Parsed(refused=parsed.refused)
    assert "cut" not in parsed.refused


@pytest.mark.parametrize(
    "text",
    [
        '[\n{"preshuffle": true, "use_rowwise": true, "m": 1, "n": 2, "k": 3, "lda": 4, "ldb": 5, "ldc": 6, "x": 7}\n]',
        "- {preshuffle: true, rowwise: true, trans_a: T, trans_b: N, m: 1, n: 2, k: 3, a: 4, b: 5, c: 6, d: 7, e: 8}\n",
        "a,b,c,d,e,f,g,h,i,j,k,l,m\ntrue,1,2,3,4,5,6,7,8,9,10,11,12\n".replace("\ntrue", "\n0,true"),
        "PAR1" + "\x00,true" * 30,
        "SQLite format 3\x00" + "true,false," * 20,
        "%PDF-1.7\n" + "1 true,false;" * 20,
    ],
)
def test_what_is_no_table_is_refused_though_it_has_booleans_and_commas(text: str) -> None:
    parsed = aiter_csv.parse(text.encode("latin-1"))
    assert parsed.refused
    assert parsed == aiter_csv.Parsed(refused=parsed.refused)
