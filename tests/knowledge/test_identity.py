"""Which entries of different vocabularies become one concept, and which stay apart."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from medr_ray.knowledge.identity import ConceptDraft, ConceptRegistry
from medr_ray.knowledge.name_normalization import normalise
from medr_ray.knowledge.predicates import DISEASE, DRUG, GENE, PHENOTYPE
from medr_ray.knowledge.vocabulary_reading import VocabularyEntry

HPO, MESH = 1, 2


def make_draft(
    concept_id: str, name: str, kind: str = DISEASE, members: int = HPO, **settings: object
) -> ConceptDraft:
    form = name if kind == GENE else normalise(name)
    return ConceptDraft(concept_id, name, kind, members, {form: 0}, (form,), **settings)  # type: ignore[arg-type]


def merge_vocabularies(
    drafts: Sequence[ConceptDraft], *vocabularies: Sequence[VocabularyEntry]
) -> dict[str, ConceptDraft]:
    registry = ConceptRegistry(drafts)
    for number, entries in enumerate(vocabularies):
        registry.add_vocabulary(entries, 5 + number, 8 << number)
    folded_drafts = list(registry.iterate_drafts())
    assert len({draft.concept_id for draft in folded_drafts}) == len(folded_drafts)
    return {draft.concept_id: draft for draft in folded_drafts}


def make_disease_entry(
    concept_id: str, name: str, *synonyms: str, xrefs: tuple[str, ...] = ()
) -> VocabularyEntry:
    return VocabularyEntry(concept_id, name, DISEASE, synonyms, xrefs=xrefs)


def test_a_reference_makes_one_concept_under_the_first_id_with_the_forms_of_both() -> None:
    drafts = merge_vocabularies(
        [make_draft("OMIM:154700", "Marfan syndrome", xrefs=("ORPHA:558",))],
        [
            make_disease_entry(
                "MONDO:0007947",
                "MFS, classic",
                "Marfan disease",
                xrefs=("OMIM:154700", "MESH:D008382"),
            )
        ],
        [make_disease_entry("MESH:D008382", "Marfan's Syndrome")],
        [make_disease_entry("ORPHA:558", "Syndrome of Marfan")],
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
    drafts = merge_vocabularies(
        [make_draft("OMIM:1", "Alpha disease")],
        [make_disease_entry("MESH:C1", "Alphaitis")],
        [make_disease_entry("MONDO:1", "alpha", xrefs=("MESH:C1", "OMIM:1"))],
    )
    assert list(drafts) == ["OMIM:1"]
    assert set(drafts["OMIM:1"].xrefs) == {"MESH:C1", "MONDO:1"}


def test_records_of_one_vocabulary_are_never_united() -> None:
    drafts = merge_vocabularies(
        [make_draft("OMIM:1", "Alpha, type 1"), make_draft("ORPHA:1", "Alpha")],
        [make_disease_entry("MONDO:1", "something", xrefs=("OMIM:1", "ORPHA:1"))],
    )
    assert sorted(drafts) == ["OMIM:1", "ORPHA:1"]
    assert "something" in drafts["OMIM:1"].claims


def test_an_entry_that_refers_to_several_records_of_one_authority_is_broader_than_each() -> None:
    drafts = merge_vocabularies(
        [make_draft("OMIM:1", "Alpha 1"), make_draft("OMIM:2", "Alpha 2")],
        [make_disease_entry("MONDO:1", "alpha", xrefs=("OMIM:1", "OMIM:2"))],
    )
    assert sorted(drafts) == ["MONDO:1", "OMIM:1", "OMIM:2"]
    assert drafts["MONDO:1"].xrefs == ()


def test_former_ids_of_an_entry_are_all_the_same_concept() -> None:
    entry = VocabularyEntry(
        "DRUGBANK:DB00011",
        "Interferon alfa-n1",
        DRUG,
        xrefs=("DRUGBANK:DB00084", "DRUGBANK:DB00085"),
    )
    drafts = merge_vocabularies(
        [make_draft("DRUGBANK:DB00084", "old name", DRUG, members=4)], [entry]
    )
    assert list(drafts) == ["DRUGBANK:DB00084"]
    assert set(drafts["DRUGBANK:DB00084"].xrefs) == {"DRUGBANK:DB00011", "DRUGBANK:DB00085"}


def test_of_two_entries_that_refer_to_one_record_the_one_with_its_name_joins_it() -> None:
    both = [
        make_disease_entry("MONDO:1", "alpha, familial", xrefs=("OMIM:1",)),
        make_disease_entry("MONDO:2", "Alpha", xrefs=("OMIM:1",)),
    ]
    for entries in (both, both[::-1]):
        drafts = merge_vocabularies([make_draft("OMIM:1", "alpha")], entries)
        assert sorted(drafts) == ["MONDO:1", "OMIM:1"]
        assert "MONDO:2" in drafts["OMIM:1"].xrefs
    neither = merge_vocabularies([make_draft("OMIM:1", "beta")], both)
    assert sorted(neither) == ["MONDO:1", "MONDO:2", "OMIM:1"]


def test_equal_names_are_one_concept_within_a_type_and_for_diseases_also_a_phenotype() -> None:
    drafts = merge_vocabularies(
        [
            make_draft("HP:1", "Seizure", PHENOTYPE),
            make_draft("DRUG:a", "Seizure", DRUG, members=4),
        ],
        [make_disease_entry("MESH:D012640", "Seizures")],
    )
    assert sorted(drafts) == ["DRUG:a", "HP:1"]
    assert "seizures" in drafts["HP:1"].claims


def test_a_synonym_joins_a_concept_that_confirms_it_or_has_no_synonyms() -> None:
    without_synonyms = make_draft("OMIM:1", "Bradyopsia")
    unconfirming = make_draft("HP:1", "Choriocarcinoma", PHENOTYPE)
    confirming = make_draft("MESH:D2", "Myelitis, Transverse", members=MESH)
    confirming.claims["transverse myelitis"] = 70_000
    drafts = merge_vocabularies(
        [without_synonyms, unconfirming, confirming],
        [
            make_disease_entry("X:1", "Prolonged electroretinal response", "bradyopsia"),
            make_disease_entry("X:2", "Choriocarcinoma of testis", "choriocarcinoma"),
            make_disease_entry("X:3", "Transverse myelitis", "myelitis, transverse"),
            make_disease_entry("X:4", "Dilated cardiomyopathy", "bradyopsia 1A"),
        ],
    )
    assert sorted(drafts) == ["HP:1", "MESH:D2", "OMIM:1", "X:2", "X:4"]


def test_a_numbered_or_longer_name_is_narrower() -> None:
    drafts = merge_vocabularies(
        [make_draft("OMIM:1", "Alpha 1A"), make_draft("OMIM:2", "Congenital beta")],
        [
            make_disease_entry("X:1", "alpha", "alpha 1a"),
            make_disease_entry("X:2", "beta", "congenital beta"),
        ],
    )
    assert sorted(drafts) == ["OMIM:1", "OMIM:2", "X:1", "X:2"]


def test_an_official_id_replaces_a_provisional_one() -> None:
    drafts = [
        make_draft("MESH:alpha diseases", "Alpha Diseases", members=MESH, has_provisional_id=True),
        make_draft("DRUG:beta", "beta", DRUG, members=4, has_provisional_id=True),
    ]
    folded_drafts = merge_vocabularies(
        drafts,
        [make_disease_entry("MONDO:1", "alpha diseases")],
        [
            make_disease_entry("MESH:D000001", "Alpha Diseases"),
            VocabularyEntry("MESH:C1", "Beta", DRUG),
        ],
    )
    assert sorted(folded_drafts) == ["MESH:C1", "MESH:D000001"]
    assert folded_drafts["MESH:D000001"].xrefs == ("MONDO:1",)
    assert folded_drafts["MESH:D000001"].name == "Alpha Diseases"


def test_genes_join_by_their_symbol_and_keep_its_case() -> None:
    gene = make_draft("GENE:FBN1", "FBN1", GENE, symbols=("FBN1",))
    entry = VocabularyEntry(
        "HGNC:3603",
        "FBN1",
        GENE,
        ("Fibrillin 1",),
        ("FBN1", "MASS"),
        ("GENE:FBN1", "NCBIGENE:2200"),
    )
    draft = merge_vocabularies([gene], [entry])["GENE:FBN1"]
    assert set(draft.claims) == {"FBN1", "MASS", "fibrillin 1"}
    assert draft.symbols == ("FBN1", "MASS")
    assert set(draft.xrefs) == {"HGNC:3603", "NCBIGENE:2200"}


def test_a_protein_given_as_a_drug_joins_that_drug_but_a_gene_does_not() -> None:
    drugs = [make_draft("DRUGBANK:DB00023", "Asparaginase", DRUG, members=4)]
    protein, gene = (
        VocabularyEntry("MESH:D001215", "Asparaginase", GENE),
        VocabularyEntry("HGNC:1", "asparaginase", GENE, (), ("ASRGL1",)),
    )
    assert list(merge_vocabularies(drugs, [protein])) == ["DRUGBANK:DB00023"]
    assert sorted(
        merge_vocabularies(
            [make_draft("DRUGBANK:DB00023", "Asparaginase", DRUG, members=4)], [gene]
        )
    ) == [
        "DRUGBANK:DB00023",
        "HGNC:1",
    ]


def test_the_same_id_is_the_same_concept_whatever_its_name() -> None:
    drafts = merge_vocabularies(
        [make_draft("OMIM:1", "Alpha", xrefs=("ORPHA:1", "ORPHA:2"))],
        [make_disease_entry("ORPHA:1", "one"), make_disease_entry("ORPHA:2", "two")],
        [make_disease_entry("OMIM:1", "other")],
    )
    assert list(drafts) == ["OMIM:1"]
    assert {"one", "two", "other"} <= set(drafts["OMIM:1"].claims)


names = st.sampled_from(["alpha", "beta", "gamma", "alpha beta", "gammas"])
references = st.sampled_from(["OMIM:1", "OMIM:2", "ORPHA:1", "MESH:D1", "X:0", "X:1"])


@st.composite
def vocabulary(draw: st.DrawFn, prefix: str) -> list[VocabularyEntry]:
    count = draw(st.integers(1, 5))
    return [
        VocabularyEntry(
            f"{prefix}:{number}",
            draw(names),
            draw(st.sampled_from([DISEASE, PHENOTYPE])),
            tuple(draw(st.lists(names, max_size=2))),
            xrefs=tuple(draw(st.lists(references, max_size=2))),
        )
        for number in range(count)
    ]


def summarise_drafts(drafts: dict[str, ConceptDraft]) -> dict[str, tuple[object, ...]]:
    return {
        key: (draft.name, draft.entity_type, sorted(draft.claims.items()), sorted(draft.xrefs))
        for key, draft in drafts.items()
    }


@given(vocabulary("X"), vocabulary("Y"), st.randoms(use_true_random=False))
def test_the_order_of_entries_does_not_matter_and_no_id_is_used_twice(
    first: list[VocabularyEntry], second: list[VocabularyEntry], random: object
) -> None:
    def drafts() -> list[ConceptDraft]:
        return [
            make_draft("OMIM:1", "alpha"),
            make_draft("OMIM:2", "beta", xrefs=("ORPHA:1",)),
            make_draft("MESH:D1", "gamma", members=MESH),
        ]

    shuffled = [list(first), list(second)]
    for part in shuffled:
        random.shuffle(part)  # type: ignore[attr-defined]
    assert summarise_drafts(merge_vocabularies(drafts(), first, second)) == summarise_drafts(
        merge_vocabularies(drafts(), *shuffled)
    )
