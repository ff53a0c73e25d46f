"""Balancing over specialties: deterministic, as many as before, small ones repeated only so
often."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from medr_ray.trajectories.specialty_sampling import allocate_quotas, sample_copies

DOMAINS = {
    f"traj-{number}": domain
    for domain, size in (("a", 40), ("b", 15), ("c", 5))
    for number in range(
        {"a": 0, "b": 100, "c": 200}[domain], {"a": 0, "b": 100, "c": 200}[domain] + size
    )
}


def per_domain(taken: dict[str, int]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for key, times in taken.items():
        counts[DOMAINS[key]] += times
    return dict(counts)


def test_without_balance_everything_is_taken_once() -> None:
    assert sample_copies(DOMAINS, 0.0, 1, 0) == dict.fromkeys(sorted(DOMAINS), 1)


def test_with_balance_specialties_come_alike_as_far_as_copies_allow() -> None:
    assert per_domain(sample_copies(DOMAINS, 1.0, 4, 0)) == {"a": 20, "b": 20, "c": 20}
    assert per_domain(sample_copies(DOMAINS, 1.0, 2, 0)) == {"a": 25, "b": 25, "c": 10}
    assert per_domain(sample_copies(DOMAINS, 1.0, 1, 0)) == {"a": 40, "b": 15, "c": 5}
    half = per_domain(sample_copies(DOMAINS, 0.5, 4, 0))
    assert 20 < half["a"] < 40
    assert 5 < half["c"] < 20


def test_the_order_does_not_matter_and_the_seed_draws() -> None:
    backwards = dict(sorted(DOMAINS.items(), reverse=True))
    assert sample_copies(backwards, 1.0, 2, 7) == sample_copies(DOMAINS, 1.0, 2, 7)
    assert sample_copies(DOMAINS, 1.0, 2, 7) != sample_copies(DOMAINS, 1.0, 2, 8)


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 60), min_size=1),
    st.floats(0, 1),
    st.integers(1, 4),
)
def test_as_many_are_taken_as_there_are_and_no_specialty_gives_more_than_it_can(
    sizes: dict[str, int],
    balance: float,
    most: int,
) -> None:
    given_ = allocate_quotas(sizes, balance, most)
    assert sum(given_.values()) == sum(sizes.values())
    assert all(0 <= given_[key] <= most * size for key, size in sizes.items())


def test_copies_of_one_specialty_differ_by_one_at_most() -> None:
    taken = sample_copies(DOMAINS, 1.0, 3, 0)
    for domain in "abc":
        times = [taken[key] for key in DOMAINS if DOMAINS[key] == domain]
        assert max(times) - min(times) <= 1
