"""What of vLLM's configuration must be there for the sizes; `make compat` asks real vLLM for all else."""

from types import SimpleNamespace

import pytest

from hipbmm_kernel.image import sizes


def test_a_vllm_that_counts_the_drafted_tokens_elsewhere_is_not_planned_as_one_that_drafts_none() -> None:
    config = SimpleNamespace(use_v2_model_runner=False, speculative_config=SimpleNamespace())
    with pytest.raises(AttributeError, match="num_speculative_tokens"):
        sizes.of(config, [])
