"""What is asked about a problem, and what the answers mean."""

from hipbmm_kernel.rows.gemm import Problem, Row, key_of
from hipbmm_kernel.tune import protocol
from hipbmm_kernel.tune.visit import Ask, Job, Visit

PROBLEM = Problem(4, 256, 512)
TUNE, SEARCH = Ask(protocol.TUNE), Ask(protocol.SEARCH)


def verify(index: int) -> Ask:
    return Ask(protocol.VERIFY, index)


def row(index: int, m: int = 4, **more: object) -> Row:
    return Row(key_of(Problem(m, 256, 512)), index)._replace(**more)  # type: ignore[arg-type] # fields of a Row


def visit(known: Row | None = None, *, checked: bool = True) -> Visit:
    return Visit(Job(PROBLEM, bias=False, seconds=1.0), key_of(PROBLEM), known, checked=checked)


NEIGHBOURS = [row(30, m=64, verified=True), row(20, m=8, verified=True), row(10, m=2), row(99, m=4, verified=True)]


def test_a_right_choice_of_aiter_is_all_that_is_asked() -> None:
    one = visit()
    assert one.next([]) == TUNE
    one.tuned(row(7), "")
    assert one.next(NEIGHBOURS) == verify(7)
    one.right(7, 9.0, 10.0)
    assert one.next(NEIGHBOURS) is None
    assert one.row == row(7, tuned_us=9.0, default_us=10.0, verified=True)
    assert one.failure == ""


def test_a_wrong_choice_is_replaced_by_the_nearest_neighbours_then_by_a_search() -> None:
    one = visit()
    one.next([])
    one.tuned(row(7), "")
    for expected in (7, 20, 30):
        assert one.next(NEIGHBOURS) == verify(expected)
        one.wrong(expected, "all wrong")
    assert one.next(NEIGHBOURS) == SEARCH
    one.announced(5, None, over=False)
    one.announced(5, 12.0, over=True)
    one.announced(6, 11.0, over=True)
    one.announced(8, None, over=True)
    one.searched()
    assert one.next(NEIGHBOURS) == verify(6)
    one.wrong(6, "wrong in a table")
    assert one.next(NEIGHBOURS) is None
    assert one.failure == "index 7: all wrong"


def test_a_problem_that_ends_its_child_is_offered_its_neighbours_first_and_given_up_after_two() -> None:
    one = visit()
    assert one.next([]) == TUNE
    assert one.died("exit(1)") is None
    assert one.next([]) == TUNE
    assert one.next(NEIGHBOURS) == verify(20)
    assert one.died("SIGSEGV") == 20
    assert one.next(NEIGHBOURS) is None
    assert one.failure == "exit(1)"
    other = visit()
    other.next([])
    other.died("exit(1)")
    other.next([])
    assert other.died("exit(1)") == 0


def test_what_the_store_knows_is_verified_before_anything_is_tuned() -> None:
    one = visit(row(3))
    assert one.next(NEIGHBOURS) == verify(3)
    one.wrong(3, "wrong")
    assert one.next([]) == TUNE


def test_without_verification_aiter_is_believed_but_substitutes_are_not() -> None:
    one, other = visit(checked=False), visit(checked=False)
    one.next([])
    one.tuned(row(7), "")
    assert (one.next([]), one.row) == (None, row(7))
    other.next([])
    other.tuned(None, "algo_index '0'")
    assert other.next(NEIGHBOURS) == verify(20)


def test_a_lack_of_memory_speaks_against_nobody() -> None:
    one = visit()
    one.next([])
    one.out_of_memory("needs 2 GiB")
    assert one.next(NEIGHBOURS) == verify(20)
    one.out_of_memory("needs 1 GiB")
    assert one.next(NEIGHBOURS) is None
    assert (one.failure, one.skipped) == ("", "needs 1 GiB")


def test_an_exhaustive_search_keeps_the_row_unless_a_faster_one_is_right() -> None:
    one = visit()
    one.next([])
    one.tuned(row(7), "")
    one.next([])
    one.right(7, 9.0, 10.0)
    one.search_faster()
    assert one.next([]) == SEARCH
    one.announced(8, 8.0, over=True)
    one.searched()
    assert one.next([]) == verify(8)
    one.wrong(8, "wrong")
    assert one.next([]) is None
    assert one.row is not None
    assert one.row.algo_index == 7


def test_what_a_sick_machine_said_is_forgotten() -> None:
    one = visit()
    one.next([])
    one.died("SIGSEGV")
    one.next([])
    one.died("SIGSEGV")
    one.forget()
    assert (one.failure, one.next([])) == ("", TUNE)
