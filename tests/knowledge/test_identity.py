"""Which entries of different vocabularies become one concept, and which stay apart."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from medr_ray.knowledge.identity import Draft, Registry
from medr_ray.knowledge.name_normalization import normalise
from medr_ray.knowledge.predicates import DISEASE, DRUG, GENE, PHENOTYPE
from medr_ray.knowledge.vocabulary_reading import Entry

HPO, MESH = 1, 2


def known(
    concept_id: str, name: str, kind: str = DISEASE, members: int = HPO, **settings: object
) -> Draft:
    form = name if kind == GENE else normalise(name)
    return Draft(concept_id, name, kind, members, {form: 0}, (form,), **settings)  # type: ignore[arg-type]


def folded(drafts: Sequence[Draft], *vocabularies: Sequence[Entry]) -> dict[str, Draft]:
    registry = Registry(drafts)
    for number, entries in enumerate(vocabularies):
        registry.fold(entries, 5 + number, 8 << number)
    folded_drafts = list(registry.drafts())
    assert len({draft.concept_id for draft in folded_drafts}) == len(folded_drafts)
    return {draft.concept_id: draft for draft in folded_drafts}


def disease(concept_id: str, name: str, *synonyms: str, xrefs: tuple[str, ...] = ()) -> Entry:
    return Entry(concept_id, name, DISEASE, synonyms, xrefs=xrefs)


def test_a_reference_makes_one_concept_under_the_first_id_with_the_forms_of_both() -> None:
    drafts = folded(
        [known("OMIM:154700", "Marfan syndrome", xrefs=("ORPHA:558",))],
        [
            disease(
                "MONDO:0007947",
                "MFS, classic",
                "Marfan disease",
                xrefs=("OMIM:154700", "MESH:D008382"),
            )
        ],
        [disease("MESH:D008382", "Marfan's Syndrome")],
        [disease("ORPHA:558", "Syndrome of Marfan")],
    )
    marfan = drafts["OMIM:154700"]
    assert list(drafts) == ["OMIM:154700"]
    assert marfan.name == "Marfan syndrome"
    assert set(marfan.claims) == {
        "marfan syndrome",
        "mfs, classic",
        "marfan disease",
        "marfan's syndrome",
        "syndrome of marfan",
    }
    assert set(marfan.xrefs) == {"ORPHA:558", "MONDO:0007947", "MESH:D008382"}


def test_a_later_vocabulary_unites_two_earlier_ones() -> None:
    drafts = folded(
        [known("OMIM:1", "Alpha disease")],
        [disease("MESH:C1", "Alphaitis")],
        [disease("MONDO:1", "alpha", xrefs=("MESH:C1", "OMIM:1"))],
    )
    assert list(drafts) == ["OMIM:1"]
    assert set(drafts["OMIM:1"].xrefs) == {"MESH:C1", "MONDO:1"}


def test_records_of_one_vocabulary_are_never_united() -> None:
    drafts = folded(
        [known("OMIM:1", "Alpha, type 1"), known("ORPHA:1", "Alpha")],
        [disease("MONDO:1", "something", xrefs=("OMIM:1", "ORPHA:1"))],
    )
    assert sorted(drafts) == ["OMIM:1", "ORPHA:1"]
    assert "something" in drafts["OMIM:1"].claims


def test_what_refers_to_several_records_of_one_authority_is_broader_than_each() -> None:
    drafts = folded(
        [known("OMIM:1", "Alpha 1"), known("OMIM:2", "Alpha 2")],
        [disease("MONDO:1", "alpha", xrefs=("OMIM:1", "OMIM:2"))],
    )
    assert sorted(drafts) == ["MONDO:1", "OMIM:1", "OMIM:2"]
    assert drafts["MONDO:1"].xrefs == ()


def test_former_ids_of_its_own_are_all_the_same_thing() -> None:
    entry = Entry(
        "DRUGBANK:DB00011",
        "Interferon alfa-n1",
        DRUG,
        xrefs=("DRUGBANK:DB00084", "DRUGBANK:DB00085"),
    )
    drafts = folded([known("DRUGBANK:DB00084", "old name", DRUG, members=4)], [entry])
    assert list(drafts) == ["DRUGBANK:DB00084"]
    assert set(drafts["DRUGBANK:DB00084"].xrefs) == {"DRUGBANK:DB00011", "DRUGBANK:DB00085"}


def test_of_two_that_refer_to_one_record_the_one_with_its_name_is_it() -> None:
    both = [
        disease("MONDO:1", "alpha, familial", xrefs=("OMIM:1",)),
        disease("MONDO:2", "Alpha", xrefs=("OMIM:1",)),
    ]
    for entries in (both, both[::-1]):
        drafts = folded([known("OMIM:1", "alpha")], entries)
        assert sorted(drafts) == ["MONDO:1", "OMIM:1"]
        assert "MONDO:2" in drafts["OMIM:1"].xrefs
    neither = folded([known("OMIM:1", "beta")], both)
    assert sorted(neither) == ["MONDO:1", "MONDO:2", "OMIM:1"]


def test_the_same_name_is_the_same_thing_within_a_type_and_for_diseases_also_a_phenotype() -> None:
    drafts = folded(
        [known("HP:1", "Seizure", PHENOTYPE), known("DRUG:a", "Seizure", DRUG, members=4)],
        [disease("MESH:D012640", "Seizures")],
    )
    assert sorted(drafts) == ["DRUG:a", "HP:1"]
    assert "seizures" in drafts["HP:1"].claims


def test_synonyms_name_it_when_it_agrees_or_has_none_of_its_own() -> None:
    silent = known("OMIM:1", "Bradyopsia")
    speaking = known("HP:1", "Choriocarcinoma", PHENOTYPE)
    agreeing = known("MESH:D2", "Myelitis, Transverse", members=MESH)
    agreeing.claims["transverse myelitis"] = 70_000
    drafts = folded(
        [silent, speaking, agreeing],
        [
            disease("X:1", "Prolonged electroretinal response", "bradyopsia"),
            disease("X:2", "Choriocarcinoma of testis", "choriocarcinoma"),
            disease("X:3", "Transverse myelitis", "myelitis, transverse"),
            disease("X:4", "Dilated cardiomyopathy", "bradyopsia 1A"),
        ],
    )
    assert sorted(drafts) == ["HP:1", "MESH:D2", "OMIM:1", "X:2", "X:4"]


def test_a_numbered_or_longer_name_is_narrower() -> None:
    drafts = folded(
        [known("OMIM:1", "Alpha 1A"), known("OMIM:2", "Congenital beta")],
        [disease("X:1", "alpha", "alpha 1a"), disease("X:2", "beta", "congenital beta")],
    )
    assert sorted(drafts) == ["OMIM:1", "OMIM:2", "X:1", "X:2"]


def test_an_id_made_of_a_name_gives_way_to_the_official_one() -> None:
    drafts = [
        known("MESH:alpha diseases", "Alpha Diseases", members=MESH, made_up=True),
        known("DRUG:beta", "beta", DRUG, members=4, made_up=True),
    ]
    folded_drafts = folded(
        drafts,
        [disease("MONDO:1", "alpha diseases")],
        [disease("MESH:D000001", "Alpha Diseases"), Entry("MESH:C1", "Beta", DRUG)],
    )
    assert sorted(folded_drafts) == ["MESH:C1", "MESH:D000001"]
    assert folded_drafts["MESH:D000001"].xrefs == ("MONDO:1",)
    assert folded_drafts["MESH:D000001"].name == "Alpha Diseases"


def test_genes_are_one_by_their_symbol_and_keep_its_case() -> None:
    gene = known("GENE:FBN1", "FBN1", GENE, symbols=("FBN1",))
    entry = Entry(
        "HGNC:3603",
        "FBN1",
        GENE,
        ("Fibrillin 1",),
        ("FBN1", "MASS"),
        ("GENE:FBN1", "NCBIGENE:2200"),
    )
    draft = folded([gene], [entry])["GENE:FBN1"]
    assert set(draft.claims) == {"FBN1", "MASS", "fibrillin 1"}
    assert draft.symbols == ("FBN1", "MASS")
    assert set(draft.xrefs) == {"HGNC:3603", "NCBIGENE:2200"}


def test_a_protein_that_is_given_as_a_drug_is_that_drug_but_a_gene_is_not() -> None:
    drugs = [known("DRUGBANK:DB00023", "Asparaginase", DRUG, members=4)]
    protein, gene = (
        Entry("MESH:D001215", "Asparaginase", GENE),
        Entry("HGNC:1", "asparaginase", GENE, (), ("ASRGL1",)),
    )
    assert list(folded(drugs, [protein])) == ["DRUGBANK:DB00023"]
    assert sorted(folded([known("DRUGBANK:DB00023", "Asparaginase", DRUG, members=4)], [gene])) == [
        "DRUGBANK:DB00023",
        "HGNC:1",
    ]


def test_the_same_id_is_the_same_concept_whatever_its_name() -> None:
    drafts = folded(
        [known("OMIM:1", "Alpha", xrefs=("ORPHA:1", "ORPHA:2"))],
        [disease("ORPHA:1", "one"), disease("ORPHA:2", "two")],
        [disease("OMIM:1", "other")],
    )
    assert list(drafts) == ["OMIM:1"]
    assert {"one", "two", "other"} <= set(drafts["OMIM:1"].claims)


names = st.sampled_from(["alpha", "beta", "gamma", "alpha beta", "gammas"])
references = st.sampled_from(["OMIM:1", "OMIM:2", "ORPHA:1", "MESH:D1", "X:0", "X:1"])


@st.composite
def vocabulary(draw: st.DrawFn, prefix: str) -> list[Entry]:
    count = draw(st.integers(1, 5))
    return [
        Entry(
            f"{prefix}:{number}",
            draw(names),
            draw(st.sampled_from([DISEASE, PHENOTYPE])),
            tuple(draw(st.lists(names, max_size=2))),
            xrefs=tuple(draw(st.lists(references, max_size=2))),
        )
        for number in range(count)
    ]


def content(found: dict[str, Draft]) -> dict[str, tuple[object, ...]]:
    return {
        key: (draft.name, draft.entity_type, sorted(draft.claims.items()), sorted(draft.xrefs))
        for key, draft in found.items()
    }


@given(vocabulary("X"), vocabulary("Y"), st.randoms(use_true_random=False))
def test_the_order_of_entries_does_not_matter_and_no_id_is_used_twice(
    first: list[Entry], second: list[Entry], random: object
) -> None:
    def drafts() -> list[Draft]:
        return [
            known("OMIM:1", "alpha"),
            known("OMIM:2", "beta", xrefs=("ORPHA:1",)),
            known("MESH:D1", "gamma", members=MESH),
        ]

    shuffled = [list(first), list(second)]
    for part in shuffled:
        random.shuffle(part)  # type: ignore[attr-defined]
    assert content(folded(drafts(), first, second)) == content(folded(drafts(), *shuffled))
