"""The plan of an image's answer: eligibility is vLLM's own, AITER's assertion is added, options add and replace."""

from __future__ import annotations

from tests.unit.kernel.planner.test_answer import ANSWER

from hipbmm_kernel.linear.eligibility import HIPBMM
from hipbmm_kernel.planner import plan
from hipbmm_kernel.planner.answer import ImageLinear, plan_of
from hipbmm_kernel.planner.plan import Options
from hipbmm_kernel.rows.gemm import Linear, Problem

GOOD = ANSWER.linears[0]


def test_problems_are_the_eligible_shapes_times_the_images_tokens() -> None:
    made = plan_of(ANSWER, Options())
    assert made.source == plan.IMAGE
    assert made.problems == tuple(Problem(m, 5120, 12800) for m in (1, 2, 4, 5))
    assert made.tokens.eager == {5}
    assert made.warnings == ("a note",)


def test_what_vllm_gave_another_kernel_keeps_vllms_reason() -> None:
    other = GOOD._replace(kernel="RowWiseTorchFP8ScaledMMLinearKernel", reason="requires N >= 16", path="in_proj_ba")
    made = plan_of(ANSWER._replace(linears=(GOOD, other)), Options())
    assert [(each.eligible, each.reason) for each in made.linears] == [(True, ""), (False, "requires N >= 16")]


def test_a_linear_that_would_end_vllm_at_load_is_incompatible_whoever_owns_it() -> None:
    tower = ImageLinear("visual.blocks.0.mlp.linear_fc2", 1152, 4304, True, 27, HIPBMM, "", True, 0)
    made = plan_of(ANSWER._replace(linears=(GOOD, tower)), Options())
    assert made.reason == "KernelIncompatible"
    assert "linear_fc2" in made.message
    assert made.problems == ()


def test_what_sees_patches_is_not_tuned() -> None:
    tower = GOOD._replace(n=1152, k=1152, tower=True)
    made = plan_of(ANSWER._replace(linears=(GOOD, tower)), Options())
    assert {(problem.n, problem.k) for problem in made.problems} == {(5120, 12800)}


def test_loading_latent_attention_is_a_problem_of_its_own() -> None:
    latent = GOOD._replace(n=16384, k=512, load_tokens=512)
    made = plan_of(ANSWER._replace(linears=(latent,)), Options())
    assert Problem(512, 16384, 512) in made.problems


def test_explicit_linears_are_added_and_explicit_tokens_replace() -> None:
    made = plan_of(ANSWER, Options(linears=(Linear(64, 64),), tokens=(1, 3, 600)))
    assert made.tokens.planned == (1, 3)
    assert made.tokens.eager == {3}
    assert {(problem.n, problem.k) for problem in made.problems} == {(5120, 12800), (64, 64)}


def test_an_answer_without_an_eligible_linear_says_why() -> None:
    other = GOOD._replace(kernel="", reason="UnquantizedLinearMethod: no FP8 kernel with scales is asked for")
    made = plan_of(ANSWER._replace(linears=(other,)), Options())
    assert made.reason == "NoEligibleLinears"
    assert "UnquantizedLinearMethod" in made.message
