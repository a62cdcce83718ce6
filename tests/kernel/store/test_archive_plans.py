"""Plans go where rows go: the pod behind an import asks no image that another one has asked."""

import tarfile
from pathlib import Path

import pytest
from tests.kernel.pods import rows
from tests.kernel.store.stores import put
from tests.kernel.store.test_archive import change, export, load

from hipbmm_kernel.identity.stack import Stack
from hipbmm_kernel.image import kept_plan
from hipbmm_kernel.linear.eligibility import HIPBMM
from hipbmm_kernel.planner.answer import Answer, ImageLinear
from hipbmm_kernel.store import archive, plans
from hipbmm_kernel.system.volume import Volume

KEY, OTHER = "0123456789abcdef", "fedcba9876543210"
LINEAR = ImageLinear(
    "model.layers.0.mlp.down_proj",
    5120,
    3200,
    bias=False,
    copies=64,
    kernel=HIPBMM,
    reason="",
    tower=False,
    load_tokens=0,
)
ANSWER = Answer("0.33.0", "Qwen3ForCausalLM", "compressed-tensors", (LINEAR,), (1, 2), (1, 2), ())


@pytest.fixture
def full(tmp_path: Path, a_stack: Stack) -> Path:
    root = tmp_path / "store"
    put(root, a_stack, *rows(20))
    assert plans.keep(Volume(), str(root), KEY, kept_plan.encode(KEY, ANSWER)) == ""
    return root


def known(root: Path, key: str = KEY) -> Answer | None:
    return plans.find(Volume(), [str(root)], key, kept_plan.decode, [])


def test_an_import_knows_the_plans_of_the_export(full: Path, tmp_path: Path, a_stack: Stack) -> None:
    code, text = export(full, tmp_path / "a.tar")
    assert code == 0, text
    (tmp_path / "other").mkdir()
    assert load(tmp_path / "a.tar", tmp_path / "other")[0] == 0
    assert load(tmp_path / "a.tar", tmp_path / "other")[0] == 0, "importing twice is importing once"
    assert known(tmp_path / "other") == ANSWER
    export(tmp_path / "other", tmp_path / "b.tar")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    export(full, tmp_path / "one.tar", "--key", a_stack.key)
    (tmp_path / "one").mkdir()
    assert load(tmp_path / "one.tar", tmp_path / "one")[0] == 0
    assert known(tmp_path / "one") == ANSWER


def test_a_damaged_plan_stays_and_the_whole_one_beside_it_goes(full: Path, tmp_path: Path) -> None:
    first = full / "v1" / "plans" / f"{KEY}.json"
    first.write_bytes(first.read_bytes()[:40])
    assert plans.keep(Volume(), str(full), KEY, kept_plan.encode(KEY, ANSWER)) == ""
    (full / "v1" / "plans" / f"{OTHER}.json").symlink_to("/etc/passwd")
    (full / "v1" / "plans" / "notes.txt").write_text("x")
    export(full, tmp_path / "a.tar")
    with tarfile.open(tmp_path / "a.tar") as tar:
        assert [name for name in tar.getnames() if "plans" in name] == [f"v1/plans/{KEY}.json"]
    (tmp_path / "other").mkdir()
    assert load(tmp_path / "a.tar", tmp_path / "other")[0] == 0
    assert known(tmp_path / "other") == ANSWER


def test_an_export_is_what_an_import_takes_and_plans_make_room_for_rows(
    full: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.setattr(archive, "MAX_MEMBERS", sum(1 for path in full.rglob("*") if path.is_file()) - 1)
    assert export(full, tmp_path / "a.tar")[0] == 0
    assert load(tmp_path / "a.tar", tmp_path / "other")[0] == 0
    assert list((tmp_path / "other").rglob("*.csv"))
    assert known(tmp_path / "other") is None
    monkeypatch.setattr(archive, "MAX_TOTAL_BYTES", archive.MAX_MANIFEST_BYTES + 100)
    assert export(full, tmp_path / "b.tar")[0] != 0
    assert not (tmp_path / "b.tar").exists()


@pytest.mark.parametrize(
    "name",
    [
        f"v1/plans/{OTHER}.json",
        "v1/plans/../x.json",
        f"v1/plans/{KEY}.2.json",
        "v1/plans/x.json",
        f"v1/plans/a/{KEY}.json",
    ],
)
def test_a_plan_under_another_name_is_refused_with_the_whole_archive(full: Path, tmp_path: Path, name: str) -> None:
    export(full, tmp_path / "a.tar")

    def edit(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        plan = [member for member in members if "plans" in member[0].name]
        plan[0][0].name = name

    change(tmp_path / "a.tar", edit)
    (tmp_path / "target").mkdir()
    assert load(tmp_path / "a.tar", tmp_path / "target")[0] == 1
    assert list((tmp_path / "target").rglob("*")) == []


def test_a_store_that_refuses_a_plan_fails_the_import(full: Path, tmp_path: Path) -> None:
    export(full, tmp_path / "a.tar")
    target = tmp_path / "target"
    (target / "v1").mkdir(parents=True)
    (target / "v1" / "plans").write_text("a file in the way")
    code, text = load(tmp_path / "a.tar", target)
    assert code == 1
    assert "v1/plans" in text


@pytest.mark.parametrize("part", ["v1", "v1/plans"])
def test_a_link_leads_no_plan_out_of_the_store(tmp_path: Path, part: str) -> None:
    outside, link = tmp_path / "outside", tmp_path / "store" / part
    (outside / "plans").mkdir(parents=True)
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    assert "ENOTDIR" in plans.keep(Volume(), str(tmp_path / "store"), KEY, kept_plan.encode(KEY, ANSWER))
    assert [path.name for path in outside.rglob("*")] == ["plans"]
