"""Which records are one disease: what their names and genes show, and what keeps them apart."""

import pytest

from medr_ray.knowledge.disease_identity import (
    adds_detail_only,
    group_same_records,
    make_name_key,
    reverses_compound,
)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        (
            "Spastic paraplegia 70, autosomal recessive",
            "Autosomal recessive spastic paraplegia type 70",
        ),
        ("Chorea, benign hereditary", "Benign hereditary chorea"),
        ("3-methylglutaconic aciduria, type IX", "3-methylglutaconic aciduria type 9"),
        ("Supranuclear tumors", "Supranuclear tumor"),
        ("Schwartz-Jampel disease", "Schwartz Jampel's syndrome"),
    ],
)
def test_two_ways_to_print_a_name_have_one_key(name: str, other: str) -> None:
    assert make_name_key(name) == make_name_key(other)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("Cockayne syndrome, type A", "Cockayne syndrome"),
        ("Spastic paraplegia 70, X-linked", "Spastic paraplegia 10, linked"),
        ("Familial hemophagocytic lymphohistiocytosis", "Hemophagocytic lymphohistiocytosis"),
        ("Usher syndrome type 1", "Usher syndrome type 2"),
        ("Cushing disease", "Cushing syndrome"),
        ("Disorder of glycosylation, type In", "Disorders of glycosylation"),
    ],
)
def test_a_type_a_number_and_a_qualifier_stay_in_the_key(name: str, other: str) -> None:
    assert make_name_key(name) != make_name_key(other)


def test_an_eponym_may_not_be_reversed() -> None:
    assert reverses_compound("Goldberg-Shprintzen syndrome", "Shprintzen-Goldberg syndrome")
    assert not reverses_compound("Ellis-Van Creveld syndrome", "Ellis-van Creveld disease")


@pytest.mark.parametrize(
    ("name", "other", "is_same"),
    [
        (
            "Ornithine transcarbamylase deficiency, hyperammonemia due to",
            "Ornithine transcarbamylase deficiency",
            True,
        ),
        (
            "Cerebral arteriopathy with subcortical infarctsand leukoencephalopathy",
            "Arteriopathy-subcortical infarcts-leukoencephalopathy, cerebral",
            True,
        ),
        ("Huntington disease", "Juvenile Huntington disease", False),
        ("Myotonic dystrophy 1", "Myotonic dystrophy", False),
        ("Marfan syndrome", "Neonatal Marfan syndrome", False),
        ("Microtia, hearing impairment, and cleft palate", "Microtia", False),
    ],
)
def test_more_words_may_be_detail_but_no_form_of_the_disease(
    name: str, other: str, is_same: bool
) -> None:
    assert adds_detail_only(name, other) is is_same
    assert adds_detail_only(other, name) is is_same


def _group(
    names: dict[str, str], genes: dict[str, set[str]] | None = None
) -> list[tuple[str, ...]]:
    symbols = {record: frozenset(group) for record, group in (genes or {}).items()}
    printed = {record: (name,) for record, name in names.items()}
    return [group for group in group_same_records(printed, symbols) if len(group) > 1]


def test_names_of_the_same_words_unite_a_record_of_each_authority() -> None:
    assert _group({"OMIM:1": "Chorea, benign", "ORPHA:2": "Benign chorea", "ORPHA:3": "X"}) == [
        ("OMIM:1", "ORPHA:2")
    ]
    # Three records with these words: which two are the same is not known.
    assert not _group(
        {"OMIM:1": "Chorea, benign", "OMIM:4": "Benign, chorea", "ORPHA:2": "Chorea benign"}
    )


def test_a_class_with_more_genes_and_a_disease_with_others_stay_apart() -> None:
    names = {"OMIM:1": "Rickets, dominant", "ORPHA:2": "Dominant rickets"}
    assert _group(names, {"OMIM:1": {"A"}, "ORPHA:2": {"A"}})
    assert _group(names, {"OMIM:1": {"A"}})
    assert not _group(names, {"OMIM:1": {"A"}, "ORPHA:2": {"A", "B"}})
    assert not _group(names, {"OMIM:1": {"A"}, "ORPHA:2": {"B"}})


def test_one_gene_unites_names_of_which_one_says_more() -> None:
    names = {
        "OMIM:311250": "Ornithine transcarbamylase deficiency, hyperammonemia due to",
        "ORPHA:664": "Ornithine transcarbamylase deficiency",
    }
    gene = {"OTC"}
    assert _group(names, {"OMIM:311250": gene, "ORPHA:664": gene})
    assert not _group(names, {"OMIM:311250": gene})
    rival = {**names, "ORPHA:1": "Deficiency of ornithine transcarbamylase"}
    assert not _group(rival, dict.fromkeys(rival, gene))
