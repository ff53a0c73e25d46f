"""Balancing over specialties: deterministic, as many dialogues as before, limited repetition."""

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


def count_by_specialty(taken: dict[str, int]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for key, times in taken.items():
        counts[DOMAINS[key]] += times
    return dict(counts)


def test_without_balance_every_dialogue_is_taken_once() -> None:
    assert sample_copies(DOMAINS, 0.0, 1, 0) == dict.fromkeys(sorted(DOMAINS), 1)


def test_full_balance_equalises_specialties_as_far_as_copies_allow() -> None:
    assert count_by_specialty(sample_copies(DOMAINS, 1.0, 4, 0)) == {"a": 20, "b": 20, "c": 20}
    assert count_by_specialty(sample_copies(DOMAINS, 1.0, 2, 0)) == {"a": 25, "b": 25, "c": 10}
    assert count_by_specialty(sample_copies(DOMAINS, 1.0, 1, 0)) == {"a": 40, "b": 15, "c": 5}
    half = count_by_specialty(sample_copies(DOMAINS, 0.5, 4, 0))
    assert 20 < half["a"] < 40
    assert 5 < half["c"] < 20


def test_the_sample_depends_on_the_seed_and_not_on_the_order() -> None:
    backwards = dict(sorted(DOMAINS.items(), reverse=True))
    assert sample_copies(backwards, 1.0, 2, 7) == sample_copies(DOMAINS, 1.0, 2, 7)
    assert sample_copies(DOMAINS, 1.0, 2, 7) != sample_copies(DOMAINS, 1.0, 2, 8)


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 60), min_size=1),
    st.floats(0, 1),
    st.integers(1, 4),
)
def test_quotas_sum_to_the_total_and_respect_the_limits(
    sizes: dict[str, int],
    balance: float,
    most: int,
) -> None:
    quotas = allocate_quotas(sizes, balance, most)
    assert sum(quotas.values()) == sum(sizes.values())
    assert all(0 <= quotas[key] <= most * size for key, size in sizes.items())


def test_copies_of_one_specialty_differ_by_one_at_most() -> None:
    taken = sample_copies(DOMAINS, 1.0, 3, 0)
    for domain in "abc":
        times = [taken[key] for key in DOMAINS if DOMAINS[key] == domain]
        assert max(times) - min(times) <= 1
