"""Which wordings state which relation, and in which direction."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fit_cues import compute_confidence, list_cues
from support.marked_text import read_marked_abstract, stated_relations

from medr_ray.graph.extraction.cue_patterns import PATTERNS
from medr_ray.knowledge.predicates import TEXT_PREDICATES

STATED = [
    # treated_with
    (
        (
            "Comparison of {amikacin:drug} and tobramycin in the treatment of "
            "{infection:disease} in patients with cancer."
        ),
        ("infection", "treated_with", "amikacin"),
    ),
    (
        "{Losartan:drug} was effective in {Marfan syndrome:disease}.",
        ("marfan syndrome", "treated_with", "losartan"),
    ),
    (
        (
            "Further experience in the treatment of {hirsutism:phenotype} with {cyproterone "
            "acetate:drug}."
        ),
        ("hirsutism", "sign_treated_with", "cyproterone acetate"),
    ),
    (
        "Her {hyperglycemia:phenotype} was successfully managed with {insulin:drug}.",
        ("hyperglycemia", "sign_treated_with", "insulin"),
    ),
    (
        "Four patients had received {methotrexate:drug} therapy for {psoriasis:disease}.",
        ("psoriasis", "treated_with", "methotrexate"),
    ),
    # induced_by
    (
        "{Tetracycline:drug}-induced {aplastic anemia:disease}.",
        ("aplastic anemia", "induced_by", "tetracycline"),
    ),
    (
        "Severe {diarrhea:phenotype} secondary to {propranolol:drug}.",
        ("diarrhea", "sign_induced_by", "propranolol"),
    ),
    (
        "{Acute pancreatitis:phenotype} associated with long-term {azathioprine:drug} therapy.",
        ("acute pancreatitis", "sign_induced_by", "azathioprine"),
    ),
    (
        "{Eosinophilia:phenotype} was seen in 7% of patients treated with {cefoxitin:drug}.",
        ("eosinophilia", "sign_induced_by", "cefoxitin"),
    ),
    (
        "{Hyperglycemia:phenotype} is a frequent side effect of {alpelisib:drug}.",
        ("hyperglycemia", "sign_induced_by", "alpelisib"),
    ),
    # associated_gene
    (
        "Mutations in {FBN1:gene} cause {Marfan syndrome:disease}.",
        ("marfan syndrome", "associated_gene", "fbn1"),
    ),
    (
        (
            "{Spinocerebellar ataxia type 12:disease} (SCA12) is caused by a CAG expansion "
            "mutation in {PPP2R2B:gene}."
        ),
        ("spinocerebellar ataxia type 12", "associated_gene", "ppp2r2b"),
    ),
    (
        "The {cystic fibrosis:disease} gene {CFTR:gene} was sequenced.",
        ("cystic fibrosis", "associated_gene", "cftr"),
    ),
    (
        "{RGS4:gene} is a candidate gene for {schizophrenia:disease}.",
        ("schizophrenia", "associated_gene", "rgs4"),
    ),
    (
        "{ERCC5:gene} polymorphisms and risk of {lung cancer:disease}.",
        ("lung cancer", "associated_gene", "ercc5"),
    ),
    (
        "Polymorphisms in {NLRP1:gene} are linked to {asthma:phenotype}.",
        ("asthma", "sign_associated_gene", "nlrp1"),
    ),
    # presents_with
    (
        (
            "{Familial Mediterranean fever:disease} (FMF) is a disease characterized by fever "
            "and {serositis:phenotype}."
        ),
        ("familial mediterranean fever", "presents_with", "serositis"),
    ),
    (
        "The symptoms of {cholera:disease} include {watery diarrhea:phenotype}.",
        ("cholera", "presents_with", "watery diarrhea"),
    ),
    (
        "{Hypoxemia:phenotype} in hemodialysis patients with {COVID-19:disease}.",
        ("covid-19", "presents_with", "hypoxemia"),
    ),
    # complicated_by
    (
        "{Measles:disease} complicated by {pneumonia:disease}.",
        ("measles", "complicated_by", "pneumonia"),
    ),
    (
        "For {epilepsy:disease} secondary to {glioblastoma:disease}, levetiracetam is preferred.",
        ("glioblastoma", "complicated_by", "epilepsy"),
    ),
    # subtype_of
    (
        "{Achondroplasia:disease} is the most common form of {dwarfism:disease}.",
        ("achondroplasia", "subtype_of", "dwarfism"),
    ),
    (
        (
            "{Fanconi anemia:disease} (FA) is a rare {genetic disease:disease} characterized by "
            "bone marrow failure."
        ),
        ("fanconi anemia", "subtype_of", "genetic disease"),
    ),
    (
        "Viral {respiratory diseases:disease}, such as {influenza:disease}, spread in winter.",
        ("influenza", "subtype_of", "respiratory diseases"),
    ),
    # acts_on
    ("{Propofol:drug} inhibited {KCNQ1:gene} currents.", ("propofol", "acts_on", "kcnq1")),
    (
        "The next-generation {ALK:gene} inhibitor {brigatinib:drug}.",
        ("brigatinib", "acts_on", "alk"),
    ),
    ("{Milademetan:drug}, a {MDM2:gene} inhibitor, was given.", ("milademetan", "acts_on", "mdm2")),
    # gene_interaction: the smaller id first, whichever side it stands on
    ("{TP53:gene} binds to {MDM2:gene}.", ("mdm2", "gene_interaction", "tp53")),
    ("{MDM2:gene} binds to {TP53:gene}.", ("mdm2", "gene_interaction", "tp53")),
    ("Phosphorylation of {TP53:gene} by {ATM:gene}.", ("atm", "gene_interaction", "tp53")),
    (
        "An interaction between {RB1:gene} and {E2F1:gene} was found.",
        ("e2f1", "gene_interaction", "rb1"),
    ),
    # combined_with
    (
        "{Carbadox:drug} in combination with {furazolidone:drug}.",
        ("carbadox", "combined_with", "furazolidone"),
    ),
    (
        "A combination of {propranolol:drug} and {dihydralazine:drug}.",
        ("dihydralazine", "combined_with", "propranolol"),
    ),
]


@pytest.mark.parametrize(("sentence", "expected"), STATED)
def test_a_wording_states_its_relation(sentence: str, expected: tuple[str, str, str]) -> None:
    assert stated_relations(sentence) == {expected}


# "Tetracycline-induced aplastic anemia" exists, whatever the sentence asks about it.
_TAKEN_FOR_GRANTED = re.compile(
    r"-induced|gene \{CFTR|such as|inhibitor|in combination|A combination"
)
_CLAUSES = [
    sentence[0].lower() + sentence[1:]
    for sentence, _ in STATED
    if not _TAKEN_FOR_GRANTED.search(sentence)
]


@given(
    frame=st.sampled_from(
        [
            "It is not known whether {}",
            "It remains unclear if {}",
            "To determine if {}",
            "The hypothesis that {}",
            "There is controversy as to whether, in most patients, {}",
            "The present study was designed to test if, as reported earlier, {}",
        ]
    ),
    clause=st.sampled_from(_CLAUSES),
)
def test_a_question_silences_every_cue_but_a_compound(frame: str, clause: str) -> None:
    assert stated_relations(frame.replace("{}", clause), least=0) == set()


def test_every_predicate_that_text_can_state_has_cues() -> None:
    cued = {pattern.predicate for patterns in PATTERNS.values() for pattern in patterns}
    assert cued == TEXT_PREDICATES.keys() - {"has_inheritance", "has_onset", "has_finding"}
    assert cued == {predicate for _, (_, predicate, _) in STATED}


@pytest.mark.parametrize(
    "sentence",
    [
        (
            "{COVID-19:disease} is caused by {severe acute respiratory syndrome:disease} "
            "coronavirus 2."
        ),
        "{Pneumonia:disease} caused by {chloramphenicol:drug}-resistant strains.",
        "{Tumour:disease} cells in vitro responded to prolonged treatment with {colchicine:drug}.",
        "{Toxemia:disease} treated by dietary {sodium:drug} restriction.",
        "{Dyslipidemia:disease} is a major cause of {cardiovascular diseases:disease}.",
        "Antibodies against {polio:disease} and {measles:disease} were found.",
        "{PRKACG:gene} and {PRKAR1B:gene} were associated with survival.",
        "A higher {spermidine:drug} + {spermine:drug} ratio was found.",
        "{Losartan:drug} was given. {Marfan syndrome:disease} was seen.",
    ],
)
def test_wordings_that_only_look_like_a_relation_are_none(sentence: str) -> None:
    assert stated_relations(sentence) == set()


def test_a_treated_group_with_a_finding_is_not_treated_for_it() -> None:
    relations = stated_relations(
        "{Eosinophilia:phenotype} was seen in patients treated with {cefoxitin:drug}.", least=0
    )
    assert {predicate for _, predicate, _ in relations} == {"sign_induced_by"}


def test_all_items_of_a_list_are_meant_on_either_side() -> None:
    relations = stated_relations(
        "{Lidocaine:drug} or {tricaine:drug} induced {seizures:phenotype} and {ataxia:phenotype}."
    )
    assert relations == {
        (sign, "sign_induced_by", drug)
        for sign in ("seizures", "ataxia")
        for drug in ("lidocaine", "tricaine")
    }


def test_a_statement_about_a_class_applies_to_its_member() -> None:
    relations = stated_relations(
        "{Apraxia:disease} is a {neurological disorder:disease} characterized by "
        "{clumsiness:phenotype}."
    )
    assert relations == {
        ("apraxia", "presents_with", "clumsiness"),
        ("apraxia", "subtype_of", "neurological disorder"),
    }


def test_a_class_in_a_list_is_of_one_item_alone() -> None:
    relations = stated_relations(
        "We saw {open fractures:disease} and other severe {soft tissue injuries:disease}, "
        "{shock:disease}."
    )
    assert relations == {("open fractures", "subtype_of", "soft tissue injuries")}


def test_other_words_around_a_cue_lower_confidence() -> None:
    (near,) = read_marked_abstract("{A:disease} characterized by {B:phenotype}.").statements
    (far,) = read_marked_abstract(
        "{A:disease} characterized by low bone density, fragility and {B:phenotype}."
    ).statements
    assert 0.5 < far.confidence < near.confidence


def test_the_context_of_the_sentence_is_kept() -> None:
    text = "{Cholera:disease} was complicated by {shock:disease} in children in Peru in 1998."
    (statement,) = read_marked_abstract(text).statements
    assert (statement.temporal, statement.spatial, statement.clinical) == (
        "in 1998",
        "Peru",
        "in children",
    )


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        (
            "A case of {RCVS:disease} in the setting of a mild {infection:phenotype} successfully "
            "treated with {nimodipine:drug}.",
            ("rcvs", "treated_with", "nimodipine"),
        ),
        (
            "{Anemia:disease} after {colitis:disease} caused by {aspirin:drug} was seen.",
            ("colitis", "induced_by", "aspirin"),
        ),
        (
            "{Losartan:drug} attenuated {adriamycin:drug}-induced {nephropathy:disease}.",
            ("nephropathy", "treated_with", "losartan"),
        ),
    ],
)
def test_a_cue_is_about_the_name_it_governs(sentence: str, expected: tuple[str, str, str]) -> None:
    relations = stated_relations(sentence)
    assert expected in relations
    # Not about the setting, and not about the drug that only describes the disease.
    _, predicate, _ = expected
    assert not {
        (subject, stated, obj)
        for subject, stated, obj in relations
        if stated.endswith(predicate) and {subject, obj} & {"infection", "anemia", "adriamycin"}
    }


@pytest.mark.parametrize(
    "sentence",
    [
        "Metabolites of {tryptophan:drug} cause {bladder cancer:disease}.",
        "Omitting {fentanyl:drug} reduces {nausea:phenotype}.",
        "Silencing of {epoxide hydrolase:drug} ameliorates {diabetes:disease}.",
        "{SGLT2:drug} inhibitors are used for the treatment of {heart failure:disease}.",
        "SFTS {infection:disease} is characterized by {thrombocytopenia:phenotype}.",
        "{Endometriosis:disease} is least responsive to {progestins:drug}.",
        "{Acitretin:drug} was associated with a reduced risk of {herpes zoster:disease}.",
    ],
)
def test_what_is_part_of_something_else_is_not_related(sentence: str) -> None:
    assert stated_relations(sentence, least=0) == set()


def test_a_cue_is_as_sure_as_it_was_on_the_training_set() -> None:
    for cue in list_cues():
        if cue.observed[1]:
            assert cue.confidence == compute_confidence(*cue.observed), cue
        if cue.observed_loose[1]:
            assert cue.loose == compute_confidence(*cue.observed_loose), cue


@pytest.mark.parametrize(
    "sentence",
    [
        # the beginning of a protein's, a salt's or a test's name
        "{Glutathione:drug} S-transferase prevented {gout:disease}.",
        "Cadmium {chloride:drug} induced {nephropathy:disease}.",
        "{Fluciclovine:drug} PET imaging is used in {prostate cancer:disease}.",
        # measured and not given
        "High plasma {glucose:drug} was associated with {cancer:disease}.",
        "{Progesterone:drug} plus {estradiol:drug} were secreted into the medium.",
        # what a drug targets, and what acts on it
        "{PCSK9:gene} antibodies significantly reduced {stroke:disease}.",
        "It was prevented by {thymidine:drug} or using an inhibitor of {ATR:gene}.",
        "{Depression:phenotype} of activity was induced by {trimethadione:drug}.",
        # the occasion
        "Surgery for {cancer:disease} caused a decrease in {TNF:gene}.",
        "Treatment of {carcinoma:disease} after {cisplatin:drug} was compared.",
        "Changes in {hypertensive:phenotype} patients were attenuated by {propofol:drug}.",
        "A man with {hepatitis:disease} and a {gastric ulcer:phenotype} was treated with "
        "{azathioprine:drug}.",
        # a risk is no disease that is treated
        "{Flavone:drug} reduced the risk of {gout:disease}.",
        "{Thyrotropin:drug} is useful for the diagnosis of {hypothyroidism:phenotype}.",
        "{Serp-1:drug} may be a new therapy for this severe complication of {lupus:disease}.",
        # the first finding of a syndrome that is named by its findings, an adjective, a class
        "{MBTPS2:gene} mutations cause {ichthyosis follicularis:disease}, atrichia and photophobia "
        "(IFAP) and others.",
        "{Carbachol:drug} induced an {irritable:phenotype} kind of aggression.",
        "{Uveitis:disease} was treated with {monoclonal antibodies:drug}.",
        # open questions
        "{Serp-1:drug} may represent a potential new therapy for {lupus:disease}.",
        "{Aspirin:drug} would be useful in {gout:disease} if it were safe.",
        "The role of {FTO:gene} in {gout:disease} was inconclusive.",
        "There are few reports about the role of {TWIST2:gene} in {lung cancer:disease}.",
    ],
)
def test_what_is_said_of_something_else_is_not_said_of_the_two(sentence: str) -> None:
    assert stated_relations(sentence, least=0) == set()


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        (
            "{Levodopa:drug} therapy for {Parkinson disease:disease} leads to "
            "{dyskinesia:disease}.",
            {("parkinson disease", "treated_with", "levodopa")},
        ),
        (
            "{Nitroglycerin:drug} and {phenylephrine:drug}-induced {hypertension:phenotype}.",
            {("hypertension", "sign_induced_by", "phenylephrine")},
        ),
        (
            "{Pembrolizumab:drug} (PD-1 inhibitor) and {cetuximab:drug} ({EGFR:gene} inhibitor).",
            {("cetuximab", "acts_on", "egfr")},
        ),
        (
            "{Ceftazidime:drug}, {tigecycline:drug} plus {aztreonam:drug} were given.",
            {("aztreonam", "combined_with", "tigecycline")},
        ),
        (
            "{Losartan:drug} attenuates {hemorrhage:disease}-induced {brain injury:disease}.",
            {("brain injury", "treated_with", "losartan")},
        ),
        (
            "{Diabetes:disease} is defined as a group of {metabolic diseases:disease} "
            "characterized by {hyperglycemia:phenotype}.",
            {("diabetes", "presents_with", "hyperglycemia")},
        ),
    ],
)
def test_the_nearest_governed_names_are_related(
    sentence: str, expected: set[tuple[str, str, str]]
) -> None:
    assert stated_relations(sentence) == expected


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        (
            "Mutations in {PDE6H:gene} have been described in {cone dystrophy:disease}.",
            ("cone dystrophy", "associated_gene", "pde6h"),
        ),
        (
            "The {FGFR3:gene} G380R mutation responsible for {achondroplasia:disease}.",
            ("achondroplasia", "associated_gene", "fgfr3"),
        ),
        (
            "{Claudin:gene}-low {breast cancer:disease}.",
            ("breast cancer", "associated_gene", "claudin"),
        ),
        (
            "{Terfenadine:drug}, which is reported to cause {arrhythmia:disease}.",
            ("arrhythmia", "induced_by", "terfenadine"),
        ),
        (
            "The effectiveness of {mesalazine:drug} in treating {colitis:disease}.",
            ("colitis", "treated_with", "mesalazine"),
        ),
    ],
)
def test_more_wordings_state_a_relation(sentence: str, expected: tuple[str, str, str]) -> None:
    assert expected in stated_relations(sentence)


def test_of_two_findings_that_coexist_the_cause_is_that_of_the_second() -> None:
    sentence = (
        "The coexistence of {drusen:phenotype} and {papilledema:phenotype} secondary to "
        "{intracranial hypertension:disease}."
    )
    assert stated_relations(sentence) == {
        ("intracranial hypertension", "presents_with", "papilledema")
    }


def test_what_a_target_binds_is_no_target_of_the_drug() -> None:
    sentence = (
        "{Tibolone:drug} seemed to bind to {IL6:gene} at sites responsible for its binding to "
        "{IL6R:gene}."
    )
    assert ("tibolone", "acts_on", "il6r") not in stated_relations(sentence, least=0)
