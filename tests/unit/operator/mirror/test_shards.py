"""Logs are written by pods, and pods may write anything: only whole, unchanged, small shards are taken from them."""

import base64
import gzip
import json
import random
import re
import zlib

import pytest
from tests.unit.operator.mirror_objects import content, line, log, name_of, shard, text

from hipbmm_kernel.rows import gemm
from hipbmm_kernel.store import mirror_log, table
from hipbmm_kernel.store import shard as kernel_shards
from hipbmm_operator.mirror import content as contents
from hipbmm_operator.mirror import shards
from hipbmm_operator.mirror.shards import ShardError
from hipbmm_operator.pods.report import parse_report

ONE = text(line(1), line(2))


def taken(log_text: str, *wanted: str) -> list[str]:
    found, _ = shards.in_log(log_text, wanted or [name_of(ONE)])
    return [each.name for each in found]


def test_a_shard_comes_out_of_the_log_as_it_went_in() -> None:
    (found,), problems = shards.in_log(log(ONE), [name_of(ONE)])
    assert problems == []
    assert gzip.decompress(found.packed).decode() == ONE
    assert found.inputs == ()


def test_what_the_program_writes_is_taken() -> None:
    rows = tuple(
        gemm.Row(gemm.key_of(gemm.Problem(m, 512, 256)), m * 7919, "Cijk_Alik", m * 1.37, 20.0, verified=True)
        for m in range(1, 500)
    )
    vetoes = tuple(
        gemm.Veto(rows[0].key, index, reason, "0123456789ab")
        for index, reason in ((5, "wrong result"), (0, "ended its worker"))
    )
    head = kernel_shards.Shard("9f2c0a1b2c3d4e5f", "pod.warm", 1)
    final = table.merge([head._replace(rows=rows), head._replace(kind=kernel_shards.VETOES, vetoes=vetoes)])
    written = mirror_log.unmirrored(final, [], (), "9f2c0a1b2c3d4e5f")
    names = [kernel_shards.name_of(data) for data in written]
    lines = [each for data in written for each in mirror_log.log_lines(data)]
    found, problems = shards.in_log("\n".join(lines), names)
    assert problems == []
    assert {each.name: gzip.decompress(each.packed) for each in found} == dict(zip(names, written, strict=True))
    report = json.dumps({"v": 1, "state": "Complete", "mirror": {"shards": names, "lines": len(lines)}})
    parsed = parse_report(report)
    assert parsed
    assert (parsed.mirror_shards, parsed.mirror_lines) == (tuple(names), len(lines))


def test_a_row_with_a_long_name_keeps_no_other_out_of_the_mirror() -> None:
    keys = [gemm.key_of(gemm.Problem(m, 2**31 - 1, 2**31 - 1)) for m in (1, 2, 4)]
    names = ("Cijk", f"Cijk_{'x' * 5000}", "x" * mirror_log.MAX_NAME)
    rows = tuple(gemm.Row(key, 2**31 - 1, name, 1 / 3, 1 / 7, True) for key, name in zip(keys, names, strict=True))
    head = kernel_shards.Shard("9f2c0a1b2c3d4e5f", "pod.warm", 1)
    final = table.merge([head._replace(rows=rows)])
    (written,) = mirror_log.unmirrored(final, [], (), "9f2c0a1b2c3d4e5f")
    name = kernel_shards.name_of(written)
    found, problems = shards.in_log("\n".join(mirror_log.log_lines(written)), [name])
    assert (len(found), problems) == (1, [])
    mirrored = kernel_shards.decode(gzip.decompress(found[0].packed))
    assert {row.key: row.algo_index for row in mirrored.rows} == {row.key: row.algo_index for row in rows}
    assert mirror_log.unmirrored(final, [(name, mirrored)], (), "9f2c0a1b2c3d4e5f") == []


def test_equal_texts_give_equal_bytes_however_a_pod_packs_them() -> None:
    fast, best = (zlib.compressobj(level, wbits=31) for level in (1, 9))
    packed = [each.compress(ONE.encode()) + each.flush() for each in (fast, best)]
    assert packed[0] != packed[1]
    assert len({shards.check(name_of(ONE), data).packed for data in packed}) == 1


@pytest.mark.parametrize(
    "spoil",
    [
        lambda lines: lines[:2] + lines[3:],
        lambda lines: [lines[0], *lines[2:]],
        lambda lines: [*lines[:1], lines[1].replace(" 1/", " 2/"), *lines[2:]],
        lambda lines: [*lines[:1], re.sub(r"/\d+ ", "/900 ", lines[1]), *lines[2:]],
        lambda lines: [*lines[:1], lines[1][:-9], *lines[2:]],
        lambda lines: [*lines[:1], lines[1] + "=", *lines[2:]],
        lambda lines: [each.replace("hipbmm-shard ", "hipbmm-shard  ") for each in lines],
        lambda _: [],
        lambda _: ["\0" * 1000, "hipbmm-shard", "hipbmm-shard a b c d"],
    ],
)
def test_a_log_that_is_cut_or_mixed_gives_nothing(spoil: object) -> None:
    lines = log(ONE).splitlines()
    assert callable(spoil)
    found, problems = shards.in_log("\n".join(spoil(lines)), [name_of(ONE)])
    assert found == []
    assert name_of(ONE) in problems[0]


def test_any_changed_bit_is_seen() -> None:
    packed = bytearray(gzip.compress(ONE.encode(), mtime=0))
    rng = random.Random(5)
    for _ in range(300):
        at, bit = rng.randrange(10, len(packed)), 1 << rng.randrange(8)
        packed[at] ^= bit
        with pytest.raises(ShardError):
            shards.check(name_of(ONE), bytes(packed))
        packed[at] ^= bit
    assert shards.check(name_of(ONE), bytes(packed)).name == name_of(ONE)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (text("a,b"), "line"),
        (text(line(1) + ","), "line"),
        (text(line(1).replace("Cijk", "Ci\tjk")), "line"),
        (text(line(1).replace("Cijk", "C" * 2000)), "line"),
        (text(line(1), kind="vetoes"), "line"),
        (text(line(1), kind="code"), "first line"),
        (text(line(1), inputs=("../../etc/passwd",)), "input"),
        (text(line(1), inputs=("a.0.0a1b2c3d4e5f.csv.gz",)), "input"),
        (text(line(1), origin="../x"), "first line"),
        (text(line(1)).replace("key=9f2c", "key=9F2C"), "first line"),
        (text(line(1)) + "more\n", "last line"),
        (text(line(1)).replace("rows=1", "rows=2"), "last line"),
        ("", "first line"),
        ("#end", "first line"),
    ],
)
def test_a_text_that_is_no_shard_is_refused(made: str, why: str) -> None:
    with pytest.raises(ShardError, match=why):
        shards.check("mirror.table.0.0a1b2c3d4e5f.csv", gzip.compress(made.encode()))


def test_a_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(b"0" * (8 * shards.MAX_TEXT_BYTES), compresslevel=1)
    assert len(bomb) < shards.MAX_PACKED_BYTES
    with pytest.raises(ShardError, match="more than"):
        shards.check(name_of(ONE), bomb)
    with pytest.raises(ShardError, match="more than"):
        shards.check(name_of(ONE), b"\0" * (shards.MAX_PACKED_BYTES + 1))


def test_only_shards_that_the_report_names_are_taken() -> None:
    other = text(line(3))
    assert taken(log(ONE, other)) == [name_of(ONE)]
    assert sorted(taken(log(ONE, other), name_of(ONE), name_of(other))) == sorted([name_of(ONE), name_of(other)])


@pytest.mark.parametrize("name", ["../a.0.0a1b2c3d4e5f.csv", "a.csv", "a.01.0a1b2c3d4e5f.csv", 7, None, "x" * 300])
def test_a_report_cannot_name_anything_but_shards(name: object) -> None:
    report = parse_report(json.dumps({"v": 1, "state": "Complete", "mirror": {"shards": [name], "lines": -4}}))
    assert report
    assert (report.mirror_shards, report.mirror_lines) == ((), 0)


def test_of_a_sidecars_log_the_newest_whole_shard_counts() -> None:
    made = [text(line(m), origin="uid.mirror", number=m) for m in (1, 2, 10)]
    names = [name_of(each, "uid.mirror", m) for each, m in zip(made, (1, 2, 10), strict=True)]
    full = log(*made, names=names)
    (found,) = shards.newest_in_log(full, ["uid.mirror"])
    assert found.name == names[2]
    cut = [each for each in full.splitlines() if not each.startswith(f"hipbmm-shard {names[2]} 2/")]
    (found,) = shards.newest_in_log("\n".join(cut), ["uid.mirror"])
    assert found.name == names[1]
    assert shards.newest_in_log(full, ["other.mirror"]) == []
    assert shards.newest([*names, "junk"]) == {"uid.mirror": 10}


def test_joining_does_not_depend_on_order_and_drops_what_is_replaced() -> None:
    one, two = shard(line(1)), shard(line(2))
    both = shard(line(1), line(2), inputs=(one.name, two.name))
    late = shard(line(4), origin="pod.harvest")
    assert contents.Content().joined([one, two]).shards.keys() == {one.name, two.name}
    assert content(one, two).joined([both]).shards.keys() == {both.name}
    assert content(both).joined([one]).shards.keys() == {both.name}
    assert content(late).joined([both]).joined([one]) == content(one, both).joined([late])


def demanded(pod: str, second: int, *lines: str, kind: str = "demand", origin: str = "") -> shards.Shard:
    origin = origin or f"demand.{pod}"
    made = text(*(lines or (f"7,256,512,0,{second}",)), origin=origin, kind=kind, number=second)
    return shards.check(name_of(made, origin, second), gzip.compress(made.encode()))


def test_of_demand_the_newest_of_the_last_pods_is_kept_in_any_order() -> None:
    rows = shard(line(1))
    made = [demanded(f"pod-{at // 2}", at) for at in range(2 * (contents.MAX_DEMANDS + 8))]
    newest = {each.name for each in made[17::2]}
    for seed in range(20):
        random.Random(seed).shuffle(made)
        whole = contents.Content().joined([rows, *made])
        by_one = contents.Content()
        for each in (*made, rows):
            by_one = by_one.joined([each])
        assert whole == by_one
        assert whole.shards.keys() == {rows.name, *newest}
        assert whole.joined(made) == whole


def test_demand_never_takes_the_room_of_rows() -> None:
    digits = random.Random(1)
    full: list[shards.Shard] = []
    while content(*full).size < shards.MAX_PACKED_BYTES - 1000:
        noise = [line(at).replace("Cijk", f"C{digits.getrandbits(160):x}") for at in range(1, 9)]
        full.append(shard(*noise, origin=f"pod-{len(full)}.warm"))
    found = content(*full).joined(demanded(f"pod-{at}", at) for at in range(30))
    assert found.fits
    assert {each.name for each in full} < found.shards.keys()
    assert demanded("pod-29", 29).name in found.shards
    more = shard(line(1), origin="late.warm")
    assert {*(each.name for each in full), more.name} <= found.joined([more]).shards.keys()


@pytest.mark.parametrize(
    ("lines", "kind", "origin"),
    [
        (("7,256,512,0",), "demand", ""),
        (("7,256,512,0,3",) * 257, "demand", ""),
        (("7,256,512,0,3",), "demand", "uid.mirror"),
        ((line(1),), "rows", "demand.uid"),
    ],
    ids=["columns", "too many lines", "rows' origin", "rows of demand's origin"],
)
def test_what_is_no_demand_is_not_taken(lines: tuple[str, ...], kind: str, origin: str) -> None:
    with pytest.raises(ShardError):
        demanded("uid", 3, *lines, kind=kind, origin=origin)


def test_the_same_content_has_the_same_digest() -> None:
    one, two = shard(line(1)), shard(line(2))
    assert content(one, two).digest == content(two, one).digest != content(one).digest
    body = {"binaryData": content(one, two).binary()}
    assert contents.summary(body)["digest"] == content(one, two).digest
    assert contents.parse(body["binaryData"]) == content(two, one)


def test_of_a_changed_config_map_only_valid_shards_are_left() -> None:
    one = shard(line(1))
    data = content(one).binary()
    spoiled = data | {"x.gz": "!", "y": "AAAA", f"{name_of(ONE)}.gz": base64.b64encode(b"nothing").decode()}
    assert contents.parse(spoiled) == content(one)
    assert contents.parse(None) == contents.parse([1]) == contents.Content()
    assert contents.summary({"binaryData": data, "data": {"a": "b"}, "immutable": True})["extra"] == ["a"]


def test_what_is_too_large_for_a_config_map_is_reported() -> None:
    rng = random.Random(1)
    rows = [line(m).replace("Cijk_Alik", rng.randbytes(200).hex()) for m in range(1, 4000)]
    assert not content(shard(*rows[:2000]), shard(*rows[2000:])).fits
    assert content(shard(*rows[:1000])).fits


def test_204_rows_are_small() -> None:
    rng = random.Random(1)
    name = "Cijk_Alik_Bljk_F8BS_BH_Bias_HA_S_SAB_SCD_SAV_UserArgs_MT{}x{}x128_MI16x16x1_SN_LDSB1_AFC1_AG0_AFEM1"
    rows = [line(m).replace("Cijk_Alik", name.format(rng.randrange(256), m)) for m in range(1, 205)]
    assert content(shard(*rows)).size < 20_000


@pytest.mark.parametrize("end", ["\r", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"])
def test_foreign_text_in_a_line_of_ours_begins_no_line(end: str) -> None:
    name = name_of(ONE)
    forged = f"hipbmm warm: refused x: {end}hipbmm-shard {name} 1/9 QUJD\n"
    found, problems = shards.in_log(f"{forged}{log(ONE)}\n{forged}", [name])
    assert ([each.name for each in found], problems) == ([name], [])
