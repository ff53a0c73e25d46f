"""Names of interventions: the substance of those that name one, nothing for the others."""

import pytest

from medr_ray.knowledge.registries.intervention_names import is_comparator, name_substance


@pytest.mark.parametrize(
    ("printed", "substance"),
    [
        ("Metformin", "Metformin"),
        ("Metformin 500 mg bid", "Metformin"),
        ("0.5% bupivacaine (Bupivacain®)", "bupivacaine"),
        ("Poziotinib Once Daily Dosing", "Poziotinib"),
        ("Belatacept 250 Milligram Intravenous Powder for Solution", "Belatacept"),
        ("Cisplatin 75mg/m2", "Cisplatin"),
        ("Salmeterol 21mcg for 3 Months", "Salmeterol"),
        ("5-fluorouracil (5-FU)", "5-fluorouracil"),
        ("Oral Insulin", "Insulin"),
        ("EU-approved Xolair®", "Xolair"),
        ("MEDI4212 15 mg Subcutaneous", "MEDI4212"),
        ("HS-20093 (Phase Ib: Dose expansion)", "HS-20093"),
        ("LP-003 Dose 1 (Single)", "LP-003"),
        ("Mercaptopurine", "Mercaptopurine"),
        ("Taurine granule", "Taurine"),
        ("Simvastatin", "Simvastatin"),
        ("Testosterone gel", "Testosterone"),
        ("Diethylpropion", "Diethylpropion"),
        ("Cyclosporin A", "Cyclosporin A"),
        ("Sodium Chloride (NaCl) 0.9 %", "Sodium Chloride"),
        ("all-trans retinoic acid", "all-trans retinoic acid"),
    ],
)
def test_a_plain_name_is_left_without_dose_form_and_route(printed: str, substance: str) -> None:
    assert name_substance(printed) == substance
    assert name_substance(substance) == substance


@pytest.mark.parametrize(
    "printed",
    [
        "",
        "Placebo",
        "Placebo to omalizumab",
        "Xolair placebo",
        "Cisplatin/ Carboplatin",
        "Lopinavir and Ritonavir Tablets",
        "LM-108 injection 10mg/kg +penpulimab",
        "TY-9591 160mg QD+pemetrexed+Cisplatin/Carboplatin",
        "AZD8205 in combination with AZD9574",
        "CM (Ma-Hsing-Kan-Shih-Tang in combination with Liu-Jun-Zi-Tang)",
        "Chemotherapy",
        "FOLFOX-4",
        "R-CHOP",
        "long-acting beta-agonists",
        "Antihistamines",
        "Glucocorticoids",
        "B7-H3-targeting CAR-T cells",
        "House dust mite extract",
        "Peanut OIT",
        "Seasonal influenza vaccine",
        "Esophageal biopsies",
        "Standard of care",
        "IMA-638 is a biologic",
        "Dupilumab therapy",
        "Gene therapy",
        "611 600mg",
        "tablets Acarizax",
        "Low dose aspirin",
    ],
)
def test_what_is_no_plain_substance_names_none(printed: str) -> None:
    assert name_substance(printed) == ""


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("Placebo", True),
        ("Placebo to omalizumab", True),
        ("Xolair placebo", True),
        ("Placebo (0.5ml)", True),
        ("Sham injection", True),
        ("Omalizumab", False),
        ("Omalizumab or placebo", False),
        ("Placebo and dexamethasone", False),
        ("Chemotherapy", False),
    ],
)
def test_a_comparator_holds_nothing_that_is_studied(printed: str, expected: bool) -> None:
    assert is_comparator(printed) is expected
