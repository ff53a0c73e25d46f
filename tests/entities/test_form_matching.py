"""Mentions in text: word boundaries, the longest form, case, and offsets into the text as it is."""

from pathlib import Path

import pyarrow as pa
import pytest

from medr_ray.core.run import Directory
from medr_ray.entities.form_patterns import is_common, read_lexicon, write_lexicon
from medr_ray.entities.matching import Matcher
from medr_ray.knowledge.lexicon import VOCABULARIES, Concept, build_lexicon
from medr_ray.knowledge.name_normalization import normalise
from medr_ray.knowledge.predicates import DISEASE

CONCEPTS = [
    Concept("D:ataxia", "Ataxia", "disease", ("ataxia",), "neurology"),
    Concept(
        "D:at",
        "Ataxia telangiectasia",
        "disease",
        ("ataxia telangiectasia", "ataxia-telangiectasia"),
        "",
    ),
    Concept("D:hivaids", "HIV/AIDS", "disease", ("hiv/aids",), "infectious diseases"),
    Concept("D:sjogren", "Sjögren syndrome", "disease", ("sjögren's syndrome",), "immunology"),
    Concept(
        "D:aids", "Acquired immunodeficiency syndrome", "disease", ("aids",), "infectious diseases"
    ),
    Concept("D:pain", "Pain", "phenotype", ("pain",), "neurology"),
    Concept(
        "D:vsd",
        "Ventricular septal defect",
        "phenotype",
        ("ventricular septal defect", "vsd"),
        "cardiology",
    ),
    Concept("DRUG:p", "p", "drug", ("dose<0.05",), ""),
    Concept("GENE:FBN1", "FBN1", "gene", ("FBN1",), "", ("FBN1",)),
    Concept("GENE:CAT", "CAT", "gene", ("CAT",), "", ("CAT",)),
    Concept("GENE:AR", "AR", "gene", ("AR",), "", ("AR",)),
]


@pytest.fixture(scope="module")
def matcher() -> Matcher:
    return Matcher.build(CONCEPTS, min_form_length=4)


def _find_concepts(matcher: Matcher, text: str) -> list[tuple[str, str]]:
    return [
        (mention.concept_id, text[mention.start : mention.end])
        for mention in matcher.find_mentions(text)
    ]


def test_a_mention_never_cuts_a_word(matcher: Matcher) -> None:
    assert _find_concepts(matcher, "Painting, repainted, painful PAIN.") == [("D:pain", "PAIN")]
    assert _find_concepts(matcher, "ataxiatic and pseudoataxia") == []


def test_the_longest_form_wins_unless_it_breaks_off_inside_a_word(matcher: Matcher) -> None:
    assert _find_concepts(matcher, "ataxia telangiectasia") == [("D:at", "ataxia telangiectasia")]
    assert _find_concepts(matcher, "ataxia telangiectasiaform") == [("D:ataxia", "ataxia")]


def test_plurals_hyphens_accents_greek_letters_and_possessives_are_the_same_name() -> None:
    names = [
        "bernard-soulier syndrome",
        "α-synuclein",
        "ménière disease",
        "cardiomyopathy",
        "parkinson's disease",
    ]
    matcher = Matcher.build([Concept(name, name, "disease", (name,), "") for name in names], 4)
    text = (
        "Bernard Soulier syndromes; alpha-synuclein; Meniere's disease; "
        "Cardiomyopathies; Parkinson disease; "
        "Parkinson’s disease"
    )
    assert [concept_id for concept_id, _ in _find_concepts(matcher, text)] == [*names, names[-1]]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Graves disease", "Graves' disease"),
        ("Graves disease", "Graves’s disease"),
        ("Graves' disease", "Graves disease"),
        ("Wilms tumor", "Wilms’ tumour"),
        ("Wilms tumor", "Wilm's tumor"),
        ("Down's syndrome", "Downs syndrome"),
        ("Fanconi anemia", "Fanconi anaemia"),
        ("haemolytic anaemia", "hemolytic anemia"),
        ("haemolytic anaemia", "haemolytic anemia"),
        ("Gastroesophageal reflux", "gastro-oesophageal reflux"),
        ("angio-oedema", "angioedema"),
        ("β-thalassemia", "ß-thalassaemia"),
        ("beta thalassemia", "Β‐thalassemia"),
        ("TGF-beta", "TGFβ"),
        ("TGF-beta", "TGF-ß"),
        ("alpha-1-antitrypsin deficiency", "α1-antitrypsin deficiency"),
        ("Strauß disease", "Strauss disease"),
        ("Sjögren syndrome", "Sjo\u0308gren syndrome"),
        ("Marfan syndrome", "ＭＡＲＦＡＮ　Syndrome"),
        ("Marfan syndrome", "Mar\u00adfan syn\u200bdrome"),
        ("Idiopathic fibrosis", "İdiopathic ﬁbrosis"),
        ("马凡综合征", "马凡综合征"),
        ("肺癌", "肺癌"),
    ],
)
def test_every_way_to_write_a_name_is_found(name: str, text: str) -> None:
    matcher = Matcher.build([Concept("D", name, "disease", (normalise(name),), "")], 4)
    sentence = f"İ 𠀀 In ({text})."
    assert _find_concepts(matcher, sentence) == [("D", text)]


def test_another_script_ends_a_word(matcher: Matcher) -> None:
    marfan = Concept(
        "D:marfan", "Marfan syndrome", "disease", ("marfan syndrome", "马凡综合征"), ""
    )
    matcher = Matcher.build([marfan, *CONCEPTS], 4)
    text = "患者确诊为马凡综合征1例。FBN1基因突变与Marfan syndrome有关、アタクシアataxia症"
    assert _find_concepts(matcher, text) == [
        ("D:marfan", "马凡综合征"),
        ("GENE:FBN1", "FBN1"),
        ("D:marfan", "Marfan syndrome"),
        ("D:ataxia", "ataxia"),
    ]


def test_a_variant_never_takes_a_form_from_another_concept() -> None:
    tumour = Concept("A", "Tumor lysis", "disease", ("tumor lysis",), "")
    other = Concept("B", "Tumour lysis", "disease", ("tumour lysis",), "")
    matcher = Matcher.build([tumour, other], 4)
    assert _find_concepts(matcher, "tumor lysis, tumour lysis") == [
        ("A", "tumor lysis"),
        ("B", "tumour lysis"),
    ]


def test_a_name_in_another_spelling_comes_before_a_synonym_of_another_concept() -> None:
    disease = Concept("D", "Wilms tumor", "disease", ("wilms tumor", "haemolysis"), "")
    sign = Concept("P", "Nephroblastoma", "phenotype", ("nephroblastoma", "wilms tumour"), "")
    other = Concept("H", "Red cell lysis", "phenotype", ("red cell lysis", "hemolysis"), "")
    matcher = Matcher.build([disease, sign, other], 4)
    # A variant of a synonym takes nothing from anybody.
    assert _find_concepts(matcher, "Wilms tumour; Wilms tumor; hemolysis; nephroblastoma") == [
        ("D", "Wilms tumour"),
        ("D", "Wilms tumor"),
        ("H", "hemolysis"),
        ("P", "nephroblastoma"),
    ]


def test_a_name_that_is_another_ones_plural_is_found_as_it_is_written() -> None:
    sign = Concept("P", "Anorectal anomaly", "phenotype", ("anorectal anomaly",), "")
    disease = Concept("D", "Anorectal anomalies", "disease", ("anorectal anomalies",), "")
    matcher = Matcher.build([sign, disease], 4)
    assert _find_concepts(matcher, "Anorectal anomalies; anorectal anomaly") == [
        ("D", "Anorectal anomalies"),
        ("P", "anorectal anomaly"),
    ]


@pytest.mark.slow
def test_every_embedded_disease_is_found_by_its_own_name() -> None:
    concepts = build_lexicon(VOCABULARIES)
    matcher = Matcher.build(concepts, min_form_length=4)
    diseases = [
        concept
        for concept in concepts
        if concept.entity_type == DISEASE and not is_common(normalise(concept.name))
    ]
    spans = matcher.find_spans(pa.array([disease.name for disease in diseases], pa.large_string()))
    concept_ids = matcher.concept_ids.to_pylist()
    named = {
        (text, concept_ids[concept])
        for text, concept in zip(spans.text, matcher.concepts[spans.form], strict=True)
    }
    lost = [
        disease.name
        for text, disease in enumerate(diseases)
        if (text, disease.concept_id) not in named
    ]
    assert len(diseases) > 14_500
    assert lost == []


def test_punctuation_inside_names_is_kept(matcher: Matcher) -> None:
    assert _find_concepts(matcher, "In HIV/AIDS (dose<0.05).") == [
        ("D:hivaids", "HIV/AIDS"),
        ("DRUG:p", "dose<0.05"),
    ]
    assert _find_concepts(matcher, "HIV / AIDS") == [("D:hivaids", "HIV / AIDS")]


def test_gene_symbols_and_short_forms_need_their_capitals(matcher: Matcher) -> None:
    assert _find_concepts(matcher, "FBN1 fbn1 VSD vsd") == [("GENE:FBN1", "FBN1"), ("D:vsd", "VSD")]


def test_common_words_are_not_taken_for_genes_or_diseases(matcher: Matcher) -> None:
    assert _find_concepts(matcher, "A CAT scan with hearing aids in the AR group; AIDS.") == [
        ("D:aids", "AIDS")
    ]


def test_a_common_word_is_common_in_the_plural() -> None:
    matcher = Matcher.build(
        [Concept("D:e", "Emergencies", "disease", ("emergencies", "crises"), "")], 4
    )
    assert _find_concepts(matcher, "An emergency; emergencies; crises") == [("D:e", "crises")]


def test_a_disease_is_found_by_its_adjective_unless_that_is_something_else() -> None:
    matcher = Matcher.build(
        [
            Concept(
                "D:ht", "Hypertension", "disease", ("hypertension", "pulmonary hypertension"), ""
            ),
            Concept("P:ep", "Epilepsy", "phenotype", ("epilepsy",), ""),
            Concept("D:nt", "Neurotoxicity", "disease", ("neurotoxicity",), ""),
            Concept("DRUG:nt", "A poison", "drug", ("neurotoxic",), ""),
        ],
        4,
    )
    assert _find_concepts(
        matcher, "hypertensive, Epileptics, neurotoxic; antihypertensive; pulmonary hypertensive"
    ) == [
        ("D:ht", "hypertensive"),
        ("P:ep", "Epileptics"),
        ("DRUG:nt", "neurotoxic"),
        ("D:ht", "hypertensive"),
    ]


def test_typographic_variants_are_found_at_their_own_offsets(matcher: Matcher) -> None:
    text = "Ⅳ ﬁrst: SJÖGREN’S\n syndrome, ataxia‑telangiectasia"
    assert _find_concepts(matcher, text) == [
        ("D:sjogren", "SJÖGREN’S\n syndrome"),
        ("D:at", "ataxia‑telangiectasia"),
    ]


def test_a_form_of_two_concepts_belongs_to_the_one_it_names_or_to_neither() -> None:
    disease = Concept("A", "Alpha", "disease", ("alpha beta", "abx", "gammas"), "")
    gene = Concept("GENE:ABX", "ABX", "gene", ("ABX",), "", ("ABX",))
    named = Concept("B", "Gamma", "disease", ("gamma", "alpha-beta"), "")
    matches = _find_concepts(Matcher.build([disease, gene, named], 4), "ABX, alpha beta and gamma")
    assert matches == [("B", "gamma")]


def test_a_matcher_loaded_from_a_run_finds_the_same(matcher: Matcher, tmp_path: Path) -> None:
    directory = Directory(str(tmp_path))
    write_lexicon(directory, CONCEPTS)
    matcher.save(directory)
    text = "FBN1 in ataxia-telangiectasia, HIV/AIDS and VSD"
    assert Matcher.load(directory).find_mentions(text) == matcher.find_mentions(text)
    assert read_lexicon(directory) == {concept.concept_id: concept for concept in CONCEPTS}
