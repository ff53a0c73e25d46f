"""A form belongs to at most one concept, the one with the best claim."""

from hypothesis import given
from hypothesis import strategies as st

from medr_ray.knowledge.identity import SYNONYM_PENALTY, ConceptDraft
from medr_ray.knowledge.ownership import decide_owners

forms = st.sampled_from(["alpha", "beta", "als", "ALS", "FBN1"])
ranks = st.integers(0, 3).flatmap(lambda rank: st.sampled_from([rank, SYNONYM_PENALTY + rank]))
claims = st.lists(st.dictionaries(forms, ranks, min_size=1), min_size=1, max_size=6)


def drafts_of(claimed: list[dict[str, int]]) -> list[ConceptDraft]:
    return [
        ConceptDraft(
            f"X:{number}",
            "name",
            "disease",
            1,
            dict(claims),
            (next(iter(claims)),),
            symbols=tuple(form for form in claims if form.isupper()),
        )
        for number, claims in enumerate(claimed)
    ]


@given(claims)
def test_a_form_has_one_owner_and_it_has_the_best_claim(claimed: list[dict[str, int]]) -> None:
    owner, ambiguous = decide_owners(drafts_of(claimed))
    for form in {form for claims in claimed for form in claims}:
        ranked = sorted(
            (claims[form], number) for number, claims in enumerate(claimed) if form in claims
        )
        unique = len(ranked) == 1 or ranked[0][0] < ranked[1][0]
        assert form not in owner or (unique and owner[form] == ranked[0][1])
        assert (form in ambiguous) == (not unique)
        assert form in owner or not unique or (form.isupper() and ranked[0][0] >= SYNONYM_PENALTY)


@given(claims, st.randoms(use_true_random=False))
def test_the_order_of_the_concepts_does_not_matter(
    claimed: list[dict[str, int]], random: object
) -> None:
    drafts = drafts_of(claimed)
    shuffled = list(drafts)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    owner, ambiguous = decide_owners(drafts)
    other_owner, other_ambiguous = decide_owners(shuffled)
    assert ambiguous == other_ambiguous
    assert {form: drafts[number].concept_id for form, number in owner.items()} == {
        form: shuffled[number].concept_id for form, number in other_owner.items()
    }


def test_an_equally_claimed_form_belongs_to_none_and_its_claimants_are_listed() -> None:
    owner, ambiguous = decide_owners(
        drafts_of(
            [{"alpha": SYNONYM_PENALTY}, {"alpha": SYNONYM_PENALTY}, {"alpha": SYNONYM_PENALTY + 1}]
        )
    )
    assert owner == {}
    assert ambiguous == {"alpha": ("X:0", "X:1")}


def test_a_preferred_name_of_a_later_vocabulary_wins_over_an_earlier_synonym() -> None:
    owner, _ = decide_owners(drafts_of([{"alpha": SYNONYM_PENALTY}, {"alpha": 3}]))
    assert owner == {"alpha": 1}


def test_an_alias_symbol_gives_way_to_a_disease_of_that_name_but_an_approved_symbol_does_not() -> (
    None
):
    disease = {"als": SYNONYM_PENALTY}
    assert decide_owners(drafts_of([disease, {"ALS": SYNONYM_PENALTY + 3}]))[0] == {"als": 0}
    assert decide_owners(drafts_of([disease, {"ALS": 3}]))[0] == {"als": 0, "ALS": 1}
