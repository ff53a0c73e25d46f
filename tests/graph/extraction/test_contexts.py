"""When, where, in whom and how a relation holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.marked_text import read_marked_abstract

from medr_ray.knowledge.qualifiers import find_restriction

TREATED = "{Gout:disease} was treated with {colchicine:drug}"


def read_clinical(text: str) -> list[str]:
    """The clinical context of each statement of a marked text."""
    return [statement.clinical for statement in read_marked_abstract(text).statements]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{TREATED} in rats.", "in rats"),
        ("{Colchicine:drug} prevented {gout:disease} in a mouse model.", "in mice; as prevention"),
        (f"{TREATED} in 12 pregnant women.", "in pregnant women"),
        (f"{TREATED} in patients with renal failure.", "in patients with renal failure"),
        (f"{TREATED} (1 mg/day).", "at 1 mg/day"),
        (f"{TREATED} as second-line therapy.", "as second-line treatment"),
        (f"{TREATED} and compared with placebo.", "versus placebo"),
        (f"In NCT01234567, {TREATED}.", "trial NCT01234567"),
        ("{Colchicine:drug} inhibited {NLRP3:gene} in THP-1 cells.", "in THP-1 cells"),
        (
            "{Colchicine:drug} inhibited {NLRP3:gene} in human breast cancer cells.",
            "in breast cancer cells",
        ),
        ("{Colchicine:drug} inhibited {NLRP3:gene} in cultured hepatocytes.", "in vitro"),
        (
            "In stimulated B16F10 cells, {colchicine:drug} inhibited {NLRP3:gene}.",
            "in B16F10 cells",
        ),
        ("{Gout:disease} was treated with topical {colchicine:drug}.", "as topical treatment"),
        ("{Colchicine:drug} inhibited {glioma:disease} in xenografts.", "in xenografts"),
        ("{Colchicine:drug} inhibited {gout:disease} in the murine knee.", "in mice"),
        ("{Colchicine:drug} reduced {gout:disease} in 12 rat pups.", "in rats"),
        ("{Gout:disease} was treated with {infliximab:drug}, a mouse monoclonal antibody.", ""),
        (
            "{Melanoma:disease} was treated with {vemurafenib:drug} in BRAF-mutant tumors.",
            "in BRAF mutant",
        ),
        (
            "{Chronic gout:disease} and chronic {gout:disease} treated with {colchicine:drug}.",
            "in chronic disease",
        ),
        (
            "{Vincristine:drug} for the treatment of diffuse {lymphoma:disease} (NHL), stages III "
            "and IV.",
            "in stage III and IV disease",
        ),
        (
            "{Aspirin:drug} induces {bronchoconstriction:phenotype} in aspirin-sensitive "
            "asthmatics.",
            "in aspirin-sensitive asthmatics",
        ),
        (
            "{FAS:gene} was associated with {breast cancer:disease}, namely, only in grade II and "
            "III, lymph nodal positive or p53 wild-type patients.",
            "in grade II and III, lymph nodal positive or p53 wild-type patients",
        ),
        (f"{TREATED} both in smokers and in non-smokers.", ""),
        (f"{TREATED} in patients with {{gout:disease}}.", ""),
        (f"{TREATED}.", ""),
    ],
)
def test_a_context_is_read_from_its_sentence(text: str, expected: str) -> None:
    assert read_clinical(text) == [expected]


def test_an_adjective_of_nationality_is_a_place() -> None:
    text = "{ESR1:gene} variants cause {infertility:disease} in Egyptian women."
    (statement,) = read_marked_abstract(text).statements
    assert (statement.spatial, statement.clinical) == ("Egypt", "in women")


@given(species=st.sampled_from(["rats", "mice", "dogs", "rabbits", "guinea pigs", "zebrafish"]))
def test_the_species_of_an_experiment_is_that_of_its_later_sentences(species: str) -> None:
    text = f"A study.\nMale {species} were used. {TREATED}."
    assert read_clinical(text) == [f"in {species}"]


@pytest.mark.parametrize(
    ("opening", "expected"),
    [
        ("Gout is common in humans. Male rats were fed.", "in rats"),
        ("Gout is common in patients. HepG2 cells were grown.", "in HepG2 cells"),
        ("We studied 12 patients. HepG2 cells were grown.", ""),
        ("A 34-year-old man was seen. Rats were fed.", ""),
        ("The guinea-pig liver was perfused.", "in guinea pigs"),
    ],
)
def test_who_was_studied_decides_and_not_who_is_only_mentioned(opening: str, expected: str) -> None:
    assert read_clinical(f"A study.\n{opening} {TREATED}.") == [expected]


def test_a_document_about_patients_has_no_species_but_in_the_sentence_itself() -> None:
    text = f"A study.\nPatients were seen. {TREATED}. Rats were used as well. {TREATED}."
    assert read_clinical(text) == ["", ""]


def test_what_a_disease_is_does_not_depend_on_the_species_of_the_experiment() -> None:
    text = "A study.\nRats were used. {Gout:disease} is characterized by {arthritis:phenotype}."
    assert read_clinical(text) == [""]


def test_the_only_trial_of_a_document_is_that_of_its_treatments() -> None:
    assert read_clinical(f"A study.\n{TREATED}. Number NCT01234567.") == ["trial NCT01234567"]
    assert read_clinical(f"A study.\n{TREATED}. See NCT01234567 and NCT07654321.") == [""]


@given(
    restriction=st.sampled_from(["in rats", "in vitro", "in pregnant women", "3 of 7 patients"]),
    details=st.lists(
        st.sampled_from(["at 10 mg/kg", "as monotherapy", "versus placebo", "trial NCT01234567"]),
        max_size=4,
    ),
)
def test_only_what_a_relation_is_true_of_restricts_it(restriction: str, details: list[str]) -> None:
    assert find_restriction("; ".join([restriction, *details])) == restriction
    assert find_restriction("; ".join(details)) == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "{Afatinib:drug} is used for {lung cancer:disease}, and in vitro evidence shows more.",
            "",
        ),
        ("{Amantadine:drug} was active against {swine influenza:disease} in mice.", "in mice"),
        ("{Gout:disease} in patients previously treated with {colchicine:drug} (1 mg/day).", ""),
        (
            "Intepirdine as adjunctive therapy to {donepezil:drug} for {dementia:disease}.",
            "",
        ),
        (
            "{Nicotine:drug}-induced {seizures:disease} (ED50 58 mg/kg) were reduced.",
            "",
        ),
        ("{TP53:gene} mutations in {glioma:disease} were seen in mouse lung.", "in mice"),
        ("{Gout:disease} was treated with {colchicine:drug} after first-line therapy.", ""),
        ("{Gout:disease} is a form of {arthritis:disease} in children.", ""),
        ("{Measles:disease} was treated with {measles vaccine:drug}.", "as prevention"),
    ],
)
def test_a_context_is_that_of_the_relation_and_not_of_another_clause(
    text: str, expected: str
) -> None:
    assert "".join(read_clinical(text)) == expected


def test_a_sentence_about_cells_is_not_about_the_animals_of_its_document() -> None:
    text = "A study.\nMale rats were used. {Colchicine:drug} inhibited {NLRP3:gene} in THP-1 cells."
    assert read_clinical(text) == ["in THP-1 cells"]


@pytest.mark.parametrize(
    "text",
    [
        "{Gout:disease} was treated with 2 mg {colchicine:drug} plus 320 mg {probenecid:drug}.",
        "{Gout:disease} was treated with {colchicine:drug}-{probenecid:drug}.",
        "{Colchicine:drug} in combination with {probenecid:drug} in the treatment of "
        "{gout:disease}.",
        "A new drug in combination with {colchicine:drug} and {probenecid:drug} in the treatment "
        "of {gout:disease}.",
        "A {colchicine:drug} and {probenecid:drug} combination in the treatment of {gout:disease}.",
    ],
)
def test_what_was_given_with_a_drug_stands_beside_it(text: str) -> None:
    contexts = {
        statement.object: statement.clinical
        for statement in read_marked_abstract(text).statements
        if statement.predicate == "treated_with"
    }
    partners = {"colchicine": "with probenecid", "probenecid": "with colchicine"}
    assert contexts
    assert contexts.items() <= partners.items()
    assert find_restriction("with probenecid") == ""


def test_arms_of_a_trial_are_no_partners() -> None:
    text = "{Colchicine:drug} and {probenecid:drug} are used to treat {gout:disease}."
    assert read_clinical(text) == ["", ""]


def test_what_stands_before_a_list_of_drugs_is_said_of_all_of_it() -> None:
    text = "{Keratoses:disease} were treated with topical {fluorouracil:drug} and {imiquimod:drug}."
    assert read_clinical(text) == ["as topical treatment"] * 2


def test_a_case_in_an_animal_says_its_signs_of_that_animal() -> None:
    text = (
        "Disseminated {cryptococcosis:disease} in a patas monkey. "
        "{Cryptococcosis:disease} was characterized by {seizures:phenotype}."
    )
    assert read_clinical(text) == ["in monkeys"]


def test_a_group_behind_a_break_belongs_to_what_stands_there() -> None:
    text = (
        "{Colchicine:drug} has been approved for {gout:disease}, but the effects of "
        "{colchicine:drug} in individuals with lupus are under study."
    )
    assert read_clinical(text) == [""]
