"""When a group is whole, when it is viable, and whom it need not wait for."""

import pytest
from support.waiting_environment import make_requests, trajectory_of

from medr_ray.rollouts.failure_kinds import MODEL
from medr_ray.rollouts.groups import GroupBook, minimum_viable
from medr_ray.rollouts.outcomes import RolloutOutcome

GROUPS = [make_requests(4, question=1), make_requests(4, question=2)]


def make_book(factor: float | None = 3.0, least: float = 0.0) -> GroupBook:
    return GroupBook(GROUPS, 0.5, factor, least)


def make_outcome(number: int, seconds: float, failure: str = "") -> RolloutOutcome:
    request = [request for group in GROUPS for request in group][number]
    return RolloutOutcome(
        request,
        None if failure else trajectory_of(request),
        failure,
        seconds,
        MODEL if failure else "",
    )


def test_a_group_comes_out_once_in_the_order_of_its_tasks() -> None:
    book = make_book()
    assert [book.add_outcome(number, make_outcome(number, 1.0)) for number in (6, 3, 1, 0)] == [
        None
    ] * 4
    whole = book.add_outcome(2, make_outcome(2, 1.0, "down"))
    assert whole is not None
    assert [finished.request for finished in whole.outcomes] == GROUPS[0]
    assert whole.viable
    assert [trajectory.rollout for trajectory in whole.trajectories] == [0, 1, 3]


def test_too_few_make_no_group() -> None:
    book = make_book()
    for number in (0, 1, 2):
        book.add_outcome(number, make_outcome(number, 1.0, "down"))
    whole = book.add_outcome(3, make_outcome(3, 1.0))
    assert whole is not None
    assert not whole.viable


@pytest.mark.parametrize(
    ("size", "share", "needed"), [(6, 0.75, 4), (8, 0.75, 6), (8, 0.1, 2), (1, 0.5, 1), (4, 1.0, 4)]
)
def test_minimum_viable(size: int, share: float, needed: int) -> None:
    assert minimum_viable(size, share) == needed


def test_stragglers_are_cut_from_groups_that_are_viable_without_them() -> None:
    book = make_book()
    running = {2: 10.0, 3: 5.9, 6: 1000.0}
    book.add_outcome(0, make_outcome(0, 1.0))
    assert book.find_stragglers(running) == []  # one of four is no group
    book.add_outcome(1, make_outcome(1, 3.0))
    assert book.find_stragglers(running) == [
        2
    ]  # 3 x the median of 1 and 3 is 6; the other group has nothing yet
    book.add_outcome(4, make_outcome(4, 1.0, "down"))
    book.add_outcome(5, make_outcome(5, 1.0, "down"))
    assert book.find_stragglers({6: 1000.0, 7: 1000.0}) == []  # failures make no group viable


def test_without_a_factor_nobody_is_cut() -> None:
    book = make_book(None)
    book.add_outcome(0, make_outcome(0, 1.0))
    book.add_outcome(1, make_outcome(1, 1.0))
    assert book.find_stragglers({2: 1e9}) == []


def test_what_is_quick_anyhow_is_not_cut() -> None:
    book = make_book(least=30.0)
    book.add_outcome(0, make_outcome(0, 0.1))
    book.add_outcome(1, make_outcome(1, 0.1))
    assert book.find_stragglers({2: 29.0, 3: 31.0}) == [3]
