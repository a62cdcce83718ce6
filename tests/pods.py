"""Random pods: a stack's own, some changes that authors make, and init containers that other injectors bring."""

from typing import Any

from hypothesis import assume
from hypothesis import strategies as st
from tests import stacks
from tests.cluster import shapes, unusual

from hipbmm_operator.injection import spelling

Json = dict[str, Any]
_CHANGES = [*shapes.INJECTED, *unusual.INJECTED, *shapes.LEFT, *unusual.LEFT]
_NAMES = [*spelling.WAITS, "wait-for-leader-mp", *spelling.NETWORK, *spelling.PROXIES, "fetch", "storage-initializer"]
_RECIPES: dict[str, list[Any]] = {
    "modes": [["Wrap"], ["Wrap", "EnvFile"]],
    "mirrors": [None, ["one-mirror"]],
    "harvest": [None, stacks.RECIPE["harvest"]],
    "claim": [None, "rows"],
    "modelConfig": [None, "config"],
    "entrypoint": [None, ["vllm", "serve"]],
    "heldImages": [None, ["registry.example/vllm-openai-rocm:v0.23.0"]],
}


def recipes() -> st.SearchStrategy[Json]:
    """Parts of a recipe that differ from the usual one."""
    return st.fixed_dictionaries({}, optional={key: st.sampled_from(each) for key, each in _RECIPES.items()})


@st.composite
def pods(draw: st.DrawFn) -> Json:
    """A pod that asks for the profile, as an API server hands it to admission; not each is valid."""
    pod = stacks.asking(draw(st.sampled_from(stacks.STACKS)))
    for change in draw(st.lists(st.sampled_from(_CHANGES), max_size=4, unique=True)):
        try:
            change(pod)
        except (KeyError, IndexError):  # it builds on what another one has taken away
            assume(False)
    spec = pod["spec"]
    added = draw(
        st.lists(st.tuples(st.sampled_from(_NAMES), st.booleans()), max_size=4, unique_by=lambda each: each[0])
    )
    there = spec.get("initContainers", [])
    for name, native in added:
        restart = {"restartPolicy": "Always"} if native else {}
        there.insert(draw(st.integers(0, len(there))), {"name": name, "image": "registry.example/x:1", **restart})
    spec["initContainers"] = there
    spec["containers"] = draw(st.permutations(spec["containers"]))
    done: Json = stored(pod)
    return done


def stored(value: Any) -> Any:  # noqa: ANN401  # any JSON
    """Without empty lists, which the API server does not write."""
    if isinstance(value, dict):
        return {key: stored(each) for key, each in value.items() if each != []}
    return [stored(each) for each in value] if isinstance(value, list) else value
