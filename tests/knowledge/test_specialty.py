"""The twelve specialties: nothing else is ever said, and well-known diseases go where a clinician
looks for them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medr_ray.knowledge import DISEASE, PHENOTYPE, SPECIALTIES, Concept, build_lexicon, normalise
from medr_ray.knowledge.hpo import load_hpo
from medr_ray.knowledge.specialty import (
    GENERAL,
    MONDO_BRANCHES,
    decide_specialty,
    finding_votes,
    map_specialties,
)

CARDIOLOGY, DERMATOLOGY, PULMONOLOGY = "cardiology", "dermatology", "pulmonology"
ENDOCRINOLOGY, GASTROENTEROLOGY = "endocrinology and metabolism", "gastroenterology"
ONCOLOGY, INFECTIONS = "hematology and oncology", "infectious diseases"
NEPHROLOGY, NEUROLOGY = "nephrology, urology and gynecology", "neurology and psychiatry"
EYES_EARS, RHEUMATOLOGY = (
    "ophthalmology and otolaryngology",
    "rheumatology, immunology and orthopedics",
)


@pytest.fixture(scope="module")
def concepts() -> list[Concept]:
    return build_lexicon(("hpo", "hpo_diseases", "genes", "diseases", "drugs"))


def test_there_are_twelve_specialties_and_each_describes_itself() -> None:
    assert len(SPECIALTIES) == 12
    assert all(
        specialty.covers and specialty.mesh and specialty.hpo and specialty.stems
        for specialty in SPECIALTIES.values()
    )


def test_every_branch_leads_to_one_specialty_and_exists() -> None:
    for kind in ("mesh", "hpo", "mondo"):
        branches = [
            branch for specialty in SPECIALTIES.values() for branch in getattr(specialty, kind)
        ]
        assert len(branches) == len(set(branches))
    terms = load_hpo().terms
    assert [
        term for specialty in SPECIALTIES.values() for term in specialty.hpo if term not in terms
    ] == []


def test_every_disease_has_one_specialty_and_no_concept_has_an_unknown_one(
    concepts: list[Concept],
) -> None:
    assert {concept.specialty for concept in concepts if concept.entity_type == DISEASE} == set(
        SPECIALTIES
    )
    assert {concept.specialty for concept in concepts if concept.entity_type == PHENOTYPE} <= {
        "",
        *SPECIALTIES,
    }
    assert {
        concept.specialty for concept in concepts if concept.entity_type not in (DISEASE, PHENOTYPE)
    } == {""}


@pytest.mark.parametrize(
    ("specialty", "names"),
    [
        (
            CARDIOLOGY,
            (
                "heart failure; long QT syndrome; tetralogy of Fallot; Brugada syndrome; "
                "atrial fibrillation"
            ),
        ),
        (
            DERMATOLOGY,
            (
                "psoriasis; epidermolysis bullosa; atopic dermatitis; vitiligo; albinism, "
                "oculocutaneous"
            ),
        ),
        (
            ENDOCRINOLOGY,
            (
                "diabetes mellitus, type 1; Graves disease; Addison disease; "
                "phenylketonuria; Gaucher disease"
            ),
        ),
        (
            GASTROENTEROLOGY,
            "Crohn disease; liver cirrhosis; celiac disease; dental caries; Hirschsprung disease",
        ),
        (GENERAL, "Down syndrome; Turner syndrome; burns; poisoning; wounds and injuries"),
        (
            ONCOLOGY,
            (
                "breast neoplasms; Hodgkin disease; hemophilia A; sickle cell anemia; "
                "glioblastoma; retinoblastoma"
            ),
        ),
        (
            INFECTIONS,
            "tuberculosis; malaria; HIV infections; hepatitis B; rabies; meningitis, bacterial",
        ),
        (
            NEPHROLOGY,
            (
                "polycystic kidney diseases; Alport syndrome; pre-eclampsia; "
                "endometriosis; prostatic hyperplasia"
            ),
        ),
        (
            NEUROLOGY,
            (
                "Alzheimer disease; multiple sclerosis; schizophrenia; Huntington disease; "
                "myasthenia gravis; stroke"
            ),
        ),
        (
            EYES_EARS,
            (
                "retinitis pigmentosa; glaucoma; otitis media; Usher syndrome; Leber "
                "congenital amaurosis"
            ),
        ),
        (
            PULMONOLOGY,
            "cystic fibrosis; asthma; idiopathic pulmonary fibrosis; primary ciliary dyskinesia",
        ),
        (
            RHEUMATOLOGY,
            "arthritis, rheumatoid; lupus erythematosus, systemic; osteogenesis "
            "imperfecta; achondroplasia; "
            "scleroderma, systemic; giant cell arteritis",
        ),
    ],
)
def test_well_known_diseases_go_where_they_are_treated(
    concepts: list[Concept], specialty: str, names: str
) -> None:
    owner = {form: concept for concept in concepts for form in concept.forms}
    elsewhere = {
        name: owner[normalise(name)].specialty
        for name in names.split("; ")
        if owner[normalise(name)].specialty != specialty
    }
    assert elsewhere == {}


@pytest.mark.parametrize(
    ("name", "codes", "specialty"),
    [
        (
            "Stomach Neoplasms",
            ("C04.588.274.476.767", "C06.301.371.767", "C06.405.249.767"),
            ONCOLOGY,
        ),
        (
            "Neurofibromatosis 1",
            ("C04.557.580.600.580.590.650", "C10.562.600", "C10.668.829.675", "C16.320"),
            NEUROLOGY,
        ),
        (
            "Endocarditis, Bacterial",
            ("C01.150.252.245", "C14.260.249", "C14.280.282.407"),
            INFECTIONS,
        ),
        ("Burkitt Lymphoma", ("C01.925.256.466", "C04.557.386.480"), ONCOLOGY),
        (
            "Cystic Fibrosis",
            ("C06.689.202", "C08.381.187", "C16.320.190"),
            PULMONOLOGY,
        ),  # equal votes: the name decides
        ("Syndrome X", ("C16.131", "C23.888"), GENERAL),
        ("Syndrome X", ("MONDO:0004995", "MONDO:0004995", "MONDO:0002051"), CARDIOLOGY),
        ("Dilated cardiomyopathy of X", ("MONDO:0002051",), CARDIOLOGY),
        ("Deafness with early onset", (), EYES_EARS),
        ("X deletion syndrome", (), GENERAL),
        ("Syndrome X", (), GENERAL),
    ],
)
def test_the_first_kind_of_evidence_decides(
    name: str, codes: tuple[str, ...], specialty: str
) -> None:
    assert decide_specialty(name, codes) == specialty


def test_findings_decide_last_and_only_when_one_organ_leads() -> None:
    assert decide_specialty("Syndrome X", (), {DERMATOLOGY: 5, NEUROLOGY: 4}) == DERMATOLOGY
    assert decide_specialty("Syndrome X", (), dict.fromkeys(list(SPECIALTIES)[:4], 2)) == GENERAL
    hpo = load_hpo()
    votes = finding_votes(map_specialties(hpo), hpo.diseases["OMIM:154700"])
    assert votes[RHEUMATOLOGY] > votes[NEUROLOGY]


@given(
    st.text(),
    st.lists(st.sampled_from(["C01.150", "C06", "C08.381", "C10.228", "C23", *MONDO_BRANCHES])),
    st.randoms(use_true_random=False),
)
def test_any_evidence_in_any_order_gives_one_of_the_twelve(
    name: str, codes: list[str], random: object
) -> None:
    first = decide_specialty(name, codes)
    random.shuffle(codes)  # type: ignore[attr-defined]
    assert first in SPECIALTIES
    assert decide_specialty(name, codes) == first
