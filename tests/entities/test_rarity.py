"""Frequencies with their interval, and the rule that says what is rare."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from medr_ray.core.config import EntitiesConfig
from medr_ray.core.errors import ConfigError
from medr_ray.core.records import EntityFrequency
from medr_ray.entities.rarity import (
    choose_rarity_rule,
    compute_clopper_pearson,
    compute_frequencies,
    select_rare,
)
from medr_ray.knowledge.lexicon import Concept

trials_and_successes = st.integers(1, 40_000_000).flatmap(
    lambda n: st.tuples(st.just(n), st.integers(0, n))
)


def _interval(successes: int, trials: int) -> tuple[float, float]:
    lower, upper = compute_clopper_pearson(np.array([successes]), trials)
    return float(lower[0]), float(upper[0])


def _make_frequency(documents: int, entity_type: str = "disease") -> EntityFrequency:
    return EntityFrequency(f"D:{documents}", "", entity_type, documents, documents, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("successes", "trials"),
    [
        (0, 10),
        (1, 10),
        (5, 10),
        (9, 10),
        (10, 10),
        (0, 1),
        (1, 1),
        (3, 1000),
        (20, 50_783),
        (24, 36_000_000),
    ],
)
def test_the_interval_is_that_of_scipys_exact_binomial_test(successes: int, trials: int) -> None:
    exact = binomtest(successes, trials).proportion_ci(0.95, method="exact")
    assert _interval(successes, trials) == pytest.approx((exact.low, exact.high), rel=1e-9)


@settings(deadline=None)
@given(trials_and_successes)
def test_the_interval_contains_the_proportion_and_grows_with_it(drawn: tuple[int, int]) -> None:
    trials, successes = drawn
    lower, upper = _interval(successes, trials)
    assert 0 <= lower <= successes / trials <= upper <= 1
    if successes < trials:
        more = _interval(successes + 1, trials)
        assert lower < more[0]
        assert upper < more[1]


def test_frequencies_sum_over_forms_and_years() -> None:
    counts = pl.DataFrame(
        {
            "concept_id": ["D:2", "D:1", "D:1", "D:1"],
            "form": ["b", "a", "a", "c"],
            "year": [None, 1999, None, 1999],
            "documents": [4, 1, 1, 0],
            "mentions": [4, 2, 3, 1],
        },
        schema_overrides={"year": pl.Int32},
    )
    concepts = {
        concept_id: Concept(concept_id, concept_id.lower(), "disease", (), "")
        for concept_id in ("D:1", "D:2")
    }
    first, second = compute_frequencies(counts, concepts, 8)
    assert (first.concept_id, first.name, first.documents, first.mentions) == ("D:1", "d:1", 2, 6)
    assert first.frequency == 0.25
    assert (first.frequency_lower, first.frequency_upper) == pytest.approx(_interval(2, 8))
    assert (second.concept_id, second.documents) == ("D:2", 4)


@settings(deadline=None)
@given(st.integers(1, 40_000_000), st.floats(1e-7, 1), st.integers(1, 5))
def test_rare_is_whatever_has_its_upper_bound_below_the_threshold(
    citations: int, threshold: float, fewest: int
) -> None:
    config = EntitiesConfig(rare_frequency=threshold, min_documents=fewest)
    if _interval(min(fewest, citations), citations)[1] >= threshold:
        with pytest.raises(ConfigError, match=r"entities\.rare_documents"):
            choose_rarity_rule(config, citations)
        return
    rule = choose_rarity_rule(config, citations)
    assert rule.rule == "frequency"
    for documents in {fewest, rule.most_documents, rule.most_documents + 1, citations}:
        below = _interval(documents, citations)[1] < threshold
        assert rule.is_rare(_make_frequency(documents)) == (below and documents >= fewest)


def test_the_papers_threshold_over_all_of_pubmed() -> None:
    rule = choose_rarity_rule(EntitiesConfig(rare_documents=20), 36_000_000)
    assert (rule.rule, rule.most_documents) == ("frequency", 24)
    assert (
        rule.describe_rule()
        == "named in at most 24 of 36,000,000 citations (upper bound of df/N below 1e-06)"
    )


def test_a_small_corpus_is_judged_by_the_number_of_documents_and_says_so() -> None:
    rule = choose_rarity_rule(EntitiesConfig(rare_documents=20, min_documents=2), 50_783)
    assert rule.rule == "documents"
    assert [rule.is_rare(_make_frequency(documents)) for documents in (1, 2, 20, 21)] == [
        False,
        True,
        True,
        False,
    ]
    assert rule.describe_rule() == (
        "named in at most 20 of 50,783 citations (too few for an upper bound of df/N below 1e-06)"
    )


def test_a_small_corpus_without_a_rule_says_what_to_set_and_how_much_would_be_enough() -> None:
    with pytest.raises(ConfigError) as raised:
        choose_rarity_rule(EntitiesConfig(), 50_783)
    assert "single citation have an upper bound of 0.00011" in str(raised.value)
    enough = int(str(raised.value).split("some ")[1].split(" ")[0].replace(",", ""))
    assert choose_rarity_rule(EntitiesConfig(), enough + 10).most_documents == 1
    with pytest.raises(ConfigError, match="nothing could be rare"):
        choose_rarity_rule(EntitiesConfig(rare_documents=2, min_documents=3), 50_783)


def test_candidates_are_rare_and_of_a_type_that_may_be_a_seed() -> None:
    rule = choose_rarity_rule(EntitiesConfig(rare_documents=5), 1000)
    frequencies = [
        _make_frequency(6),
        _make_frequency(5),
        _make_frequency(4, "phenotype"),
        _make_frequency(1),
    ]
    assert select_rare(frequencies, rule, ("disease",)) == [frequencies[1], frequencies[3]]
    assert select_rare(frequencies, rule, ("phenotype", "disease")) == frequencies[1:]
