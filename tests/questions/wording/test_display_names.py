"""Names as a person writes them: each pair is a name of a registry and the one that is printed."""

import pytest

from medr_ray.graph.facts.fact_table import FactTable, TableEntity
from medr_ray.questions.wording.mentions import Mentions

# What other names and titles show about words.
EVIDENCE = (
    "Dilated and hypertrophic cardiomyopathy with nemaline myopathy in long QT syndrome",
    "Treatment of nephrotic syndrome and of advanced small cell lung cancer",
    "The IgE response and the best target for a hand with heart disease",
    "Reduced autism, epilepsy and peanut allergy in a limited stage",
    "Peanut-Allergy reactions, and types of Niemann-Pick disease, as Golden described",
    "Deficiency of clotting factors that need vitamin K",
)


def display(entity_type: str, *names: str, others: dict[str, TableEntity] | None = None) -> str:
    entities: dict[str, TableEntity] = {
        f"PMID:{number}": TableEntity("paper", (title,)) for number, title in enumerate(EVIDENCE)
    }
    entities |= {
        "COMPANY:ucb": TableEntity("company", ("UCB Pharma", "GlaxoSmithKline US")),
        **{
            f"DRUGBANK:{number}": TableEntity("drug", (name,))
            for number, name in enumerate(("Bimekizumab", "Dupilumab", "Omalizumab"))
        },
        **(others or {}),
        "X:1": TableEntity(entity_type, names),  # type: ignore[arg-type]
    }
    return Mentions(FactTable.build([], entities)).word("X:1")


DISEASES = {
    # inverted
    "Cardiomyopathy, dilated, 1K": "dilated cardiomyopathy 1K",
    "Cardiomyopathy, familial hypertrophic, 17": "familial hypertrophic cardiomyopathy 17",
    "Deafness, autosomal recessive 74": "autosomal recessive deafness 74",
    "Basal ganglia calcification, idiopathic, 1": "idiopathic basal ganglia calcification 1",
    "Arthrogryposis, distal, type 2B3": "distal arthrogryposis type 2B3",
    "Ciliary dyskinesia, primary, 48, without situs inversus": (
        "primary ciliary dyskinesia 48 without situs inversus"
    ),
    "Renal failure, progressive, with hypertension": "progressive renal failure with hypertension",
    "Hydrocephalus, nonsyndromic, autosomal recessive 1": (
        "autosomal recessive nonsyndromic hydrocephalus 1"
    ),
    "VITAMIN K-DEPENDENT CLOTTING FACTORS, COMBINED DEFICIENCY OF, 1": (
        "combined deficiency of vitamin k-dependent clotting factors 1"
    ),
    # lists, which are not inverted
    "Microcephaly, seizures, spasticity, and brain calcifications": (
        "microcephaly, seizures, spasticity, and brain calcifications"
    ),
    "Myopathy, areflexia, respiratory distress, and dysphagia, early-onset": (
        "myopathy, areflexia, respiratory distress, and dysphagia, early-onset"
    ),
    # eponyms keep their capital, common nouns lose it
    "Norrie disease": "Norrie disease",
    "Best disease": "Best disease",
    "Nephrotic syndrome": "nephrotic syndrome",
    "Heart-hand syndrome": "heart-hand syndrome",
    "Long QT syndrome 10": "long QT syndrome 10",
    "Autism-epilepsy syndrome": "autism-epilepsy syndrome",
    "Peanut-Allergy Cardiomyopathy": "peanut-allergy cardiomyopathy",
    "Niemann-pick disease, type B": "Niemann-Pick disease, type B",
    "Antisynthetase syndrome": "antisynthetase syndrome",
    "Aase syndrome": "Aase syndrome",
    "Dopamine beta-hydroxylase deficiency": "dopamine beta-hydroxylase deficiency",
    "Christmas factor deficiency": "Christmas factor deficiency",
    "L-Arginine:glycine amidinotransferase deficiency": (
        "L-Arginine:glycine amidinotransferase deficiency"
    ),
    "CARASIL syndrome": "CARASIL syndrome",
    "GNE myopathy": "GNE myopathy",
    "Spondylometaphyseal dysplasia, Golden type": "spondylometaphyseal dysplasia, Golden type",
    # capitals of titles, marks of OMIM
    "Limited Stage Small Cell Lung Cancer": "limited stage small cell lung cancer",
    "Ige responsiveness, atopic": "atopic IgE responsiveness",
    "5-@oxoprolinase deficiency": "5-oxoprolinase deficiency",
    "{Asthma, nasal}": "nasal asthma",
}


@pytest.mark.parametrize(("name", "printed"), DISEASES.items())
def test_diseases(name: str, printed: str) -> None:
    assert display("disease", name) == printed


def test_a_name_in_order_is_better_than_an_inverted_one() -> None:
    names = ("Anemia, sideroblastic, 1", "Hereditary sideroblastic anemia type 1")

    assert display("disease", *names) == "hereditary sideroblastic anemia type 1"


DRUGS = {
    "Avapritinib": "avapritinib",
    "Mefenamic Acid": "mefenamic acid",
    "Amphotericin B": "amphotericin B",
    "Peginterferon Beta-1a": "peginterferon beta-1a",
    "Omega-3-acid ethyl esters": "omega-3-acid ethyl esters",
    "IncobotulinumtoxinA": "incobotulinumtoxinA",
    "PrabotulinumtoxinA-xvfs": "prabotulinumtoxinA-xvfs",
    "Azelaic acid ": "azelaic acid",
    "TECHNETIUM TC-99M APCITIDE": "technetium Tc-99m apcitide",
    "CYANOCOBALAMIN CO-58": "cyanocobalamin Co-58",
}
SUBSTANCES = {
    "DEXTROSE": "dextrose",
    "AK112": "AK112",
    "UB-221": "UB-221",
    "KINE-101": "KINE-101",
    "OMEGA-3-ACID ETHYL ESTERS TYPE A": "omega-3-acid ethyl esters type A",
    "FSH": "FSH",
    "Dato-DXd": "Dato-DXd",
    "ToleroMune Peanut": "ToleroMune peanut",
    "Izokibekizumab": "izokibekizumab",
    "Kenacort": "Kenacort",
}


@pytest.mark.parametrize(("name", "printed"), DRUGS.items())
def test_drugs(name: str, printed: str) -> None:
    assert display("drug", name) == printed


@pytest.mark.parametrize(("name", "printed"), SUBSTANCES.items())
def test_substances_may_be_codes_and_brands(name: str, printed: str) -> None:
    assert display("substance", name) == printed


COMPANIES = {
    ("PFIZER", "PFIZER INC"): "Pfizer",
    ("HELSINN HLTHCARE", "HELSINN HEALTHCARE SA"): "Helsinn Healthcare",
    ("MONARCH PHARMS", "MONARCH PHARMACEUTICALS LLC"): "Monarch Pharmaceuticals",
    ("ALEXION PHARM",): "Alexion Pharma",
    ("UCB INC",): "UCB",
    ("GLAXOSMITHKLINE LLC",): "GlaxoSmithKline",
    ("JOHNSON AND JOHNSON",): "Johnson and Johnson",
    ("MCPRF", "MAYO CLINIC PET RADIOCHEMISTRY FACILITY"): "Mayo Clinic PET Radiochemistry Facility",
    ("MEDICIS A DIV OF VALEANT PHARMACEUTICALS",): "Medicis",
    ("SOFIE CO DBA SOFIE (FKA ZEVACOR PHARMA INC)",): "Sofie",
    ("Aimmune Therapeutics, Inc.",): "Aimmune Therapeutics",
    ("Merck KGaA, Darmstadt, Germany",): "Merck KGaA, Darmstadt, Germany",
    ("Target Corporation",): "Target Corporation",
    ("SANOFI AVENTIS US LLC",): "Sanofi Aventis US",
}


@pytest.mark.parametrize(("names", "printed"), COMPANIES.items())
def test_companies(names: tuple[str, ...], printed: str) -> None:
    assert display("company", *names) == printed


def test_the_legal_form_stays_where_two_companies_would_have_one_name() -> None:
    others = {"COMPANY:other": TableEntity("company", ("Kowa Ltd",))}

    assert display("company", "Kowa Inc", others=others) == "Kowa Inc"


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("Shoichi Maruyama MD PhD", "Shoichi Maruyama"),
        ("Fujika Katsuki, Ph.D.", "Fujika Katsuki"),
        ("Federico FC Cappuzzo, PI", "Federico FC Cappuzzo"),
        ("Tapan M Kadia", "Tapan M Kadia"),
    ],
)
def test_persons(name: str, printed: str) -> None:
    assert display("person", name) == printed


def test_an_article_is_small_in_mid_sentence() -> None:
    assert display("institution", "The Ohio State University") == "the Ohio State University"


def test_a_name_cut_within_brackets_is_not_mentioned() -> None:
    table = FactTable.build([], {"SUBSTANCE:m": TableEntity("substance", ("MENOTROPINS (FSH",))})

    assert Mentions(table).is_ambiguous("SUBSTANCE:m", "drug")
