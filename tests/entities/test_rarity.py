"""Counts, frequencies with their bound, and the threshold."""

import numpy as np
import polars as pl
import pytest

from medr_ray.core.config import EntitiesConfig
from medr_ray.entities.counting import count_citations
from medr_ray.entities.matching import Matcher
from medr_ray.entities.rarity import clopper_pearson_upper, frequencies, is_rare
from medr_ray.knowledge.lexicon import Concept

CONCEPTS = [
    Concept("D:1", "Marfan syndrome", "disease", ("marfan syndrome", "marfan's syndrome"), "cardiology"),
    Concept("D:2", "Ataxia", "phenotype", ("ataxia",), "neurology"),
]


def test_documents_count_once_and_mentions_always() -> None:
    table = count_citations(
        Matcher.build(CONCEPTS, 4),
        ["Marfan syndrome and ataxia", "Marfan's syndrome", "Nothing"],
        ["Marfan syndrome, marfan's syndrome.", "Marfan's syndrome; Marfan syndrome", ""])
    assert table.to_pylist() == [
        {"concept_id": "D:1", "form": "marfan syndrome", "documents": 1, "mentions": 3},
        {"concept_id": "D:1", "form": "marfan's syndrome", "documents": 1, "mentions": 3},
        {"concept_id": "D:2", "form": "ataxia", "documents": 1, "mentions": 1},
    ]
    found = frequencies(pl.DataFrame(table), {one.concept_id: one for one in CONCEPTS}, 3)
    assert [(one.concept_id, one.documents, one.mentions, one.frequency) for one in found] == [
        ("D:1", 2, 6, 2 / 3), ("D:2", 1, 1, 1 / 3)]


def test_no_mention_spans_title_and_abstract() -> None:
    assert count_citations(Matcher.build(CONCEPTS, 4), ["On Marfan"], ["syndrome"]).num_rows == 0


@pytest.mark.parametrize(("successes", "trials", "upper"), [
    (0, 10, 0.30850),  # 1 - 0.025 ** (1 / 10)
    (1, 10, 0.44502),
    (5, 10, 0.81291),
    (10, 10, 1.0),
    (3, 1000, 0.0087415),
])
def test_clopper_pearson_upper_bound_has_its_published_values(successes: int, trials: int, upper: float) -> None:
    assert clopper_pearson_upper(np.array([successes]), trials)[0] == pytest.approx(upper, abs=2e-5)


def test_rare_needs_support_frequency_and_type() -> None:
    config = EntitiesConfig(rare_frequency=0.5, min_documents=2, seed_types=("disease",))
    table = pl.DataFrame({"concept_id": ["D:1", "D:2"], "form": ["a", "b"], "documents": [2, 2], "mentions": [2, 2]})
    disease, phenotype = frequencies(table, {one.concept_id: one for one in CONCEPTS}, 4)
    assert is_rare(disease, config)
    assert not is_rare(phenotype, config)
    assert not is_rare(disease, config.model_copy(update={"min_documents": 3}))
    assert not is_rare(disease, config.model_copy(update={"rare_frequency": 0.49}))
