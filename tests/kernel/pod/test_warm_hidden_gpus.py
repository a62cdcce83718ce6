"""`warm` where a variable hides every GPU from the runtime."""

from tests.kernel.pods import Pod


def test_gpus_that_are_all_hidden_are_named_as_that(pod: Pod) -> None:
    done = pod.run("warm", HIP_VISIBLE_DEVICES="-1", HIPBMM_IMAGE_SECONDS="0")
    assert done.returncode == 0, done.stderr
    assert (pod.message["reason"], pod.message["children"]) == ("NoGpu", 0), pod.message
    assert "no GPU" in pod.message["message"]
