"""`python -m tests.golden.operator`: write the children that the builders make now; review the difference."""

from tests.golden.operator.render import AFFINITY, CASES, affinity, children

if __name__ == "__main__":
    for case in CASES:
        (case / "children.yaml").write_text(children(case))
    AFFINITY.write_text(affinity())
