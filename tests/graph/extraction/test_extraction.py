"""What is read out of documents, and what is not."""

import itertools
import json
from dataclasses import replace
from functools import reduce

import pytest
from pytest_httpserver import HTTPServer

from medr_ray.core.config import EndpointConfig
from medr_ray.entities.matching import Matcher
from medr_ray.graph.extraction.contexts import find_place, find_population, find_time
from medr_ray.graph.extraction.extractor import RulesExtractor, merge_relations
from medr_ray.graph.extraction.llm_extractor import LLMExtractor
from medr_ray.graph.vocabulary import Vocabulary
from medr_ray.knowledge.hpo import DiseaseFact, Hpo, load_hpo
from medr_ray.knowledge.lexicon import build_lexicon
from medr_ray.knowledge.predicates import PREDICATES
from medr_ray.llm.client import ChatClient
from medr_ray.retrieval.disease_records import document_from_disease
from medr_ray.retrieval.documents import Document

NO_HPO = Hpo({}, {}, (), {})


def abstract(*lines: str, types: tuple[str, ...] = (), retracted: bool = False) -> Document:
    return Document("PMID:1", "pubmed", lines[0], "\n".join(lines), 2000, types, retracted, "J")


@pytest.fixture(scope="module")
def rules(vocabulary: Vocabulary, matcher: Matcher) -> RulesExtractor:
    return RulesExtractor(vocabulary, matcher, NO_HPO)


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("Losartan in the treatment of Marfan syndrome.", ("OMIM:1", "treated_with", "DRUG:1")),
        (
            "Marfan syndrome was successfully treated with losartan.",
            ("OMIM:1", "treated_with", "DRUG:1"),
        ),
        (
            "We report treatment of Marfan syndrome with losartan.",
            ("OMIM:1", "treated_with", "DRUG:1"),
        ),
        ("Chloramphenicol-induced aplastic anaemia.", ("MESH:1", "induced_by", "DRUG:2")),
        (
            "Two cases of aplastic anemia caused by chloramphenicol.",
            ("MESH:1", "induced_by", "DRUG:2"),
        ),
        (
            "Marfan syndrome is characterized by ectopia lentis.",
            ("OMIM:1", "presents_with", "HP:2"),
        ),
        ("Seizures were observed in patients with pneumonia.", ("MESH:2", "presents_with", "HP:1")),
        ("Marfan syndrome complicated by pneumonia.", ("OMIM:1", "complicated_by", "MESH:2")),
        (
            "Pneumonia is a rare complication of aplastic anemia.",
            ("MESH:1", "complicated_by", "MESH:2"),
        ),
    ],
)
def test_cues_state_relations(
    rules: RulesExtractor, sentence: str, expected: tuple[str, str, str]
) -> None:
    relations = rules.extract(abstract("A title.", sentence)).relations
    assert [(relation.subject, relation.predicate, relation.object) for relation in relations] == [
        expected
    ]
    assert relations[0].confidence >= 0.5


@pytest.mark.parametrize(
    "sentence",
    [
        "There is no evidence that Marfan syndrome was treated with losartan.",
        "Aplastic anemia was not caused by chloramphenicol.",
        "Seizures were never observed in patients with pneumonia.",
        "Infection and pneumonia caused by chloramphenicol-resistant strains.",
        "Losartan was given. Marfan syndrome was excluded.",
        "Losartan and Marfan syndrome.",
    ],
)
def test_denied_or_merely_near_entities_are_not_related(
    rules: RulesExtractor, sentence: str
) -> None:
    assert [
        relation
        for relation in rules.extract(abstract(sentence)).relations
        if relation.confidence >= 0.5
    ] == []


def test_a_hedge_lowers_confidence(rules: RulesExtractor) -> None:
    plain = rules.extract(abstract("Aplastic anemia was caused by chloramphenicol.")).relations[0]
    hedged = rules.extract(
        abstract("Aplastic anemia was possibly caused by chloramphenicol.")
    ).relations
    assert not hedged or hedged[0].confidence < plain.confidence * 0.6


def test_an_abbreviation_defined_in_another_sentence_is_read(rules: RulesExtractor) -> None:
    relations = rules.extract(
        abstract("Marfan syndrome (MFS) in a family.", "MFS was treated with losartan.")
    ).relations
    assert [(relation.subject, relation.predicate, relation.object) for relation in relations] == [
        ("OMIM:1", "treated_with", "DRUG:1")
    ]


def test_a_list_is_read_to_its_end(rules: RulesExtractor) -> None:
    relations = rules.extract(
        abstract("Marfan syndrome is characterized by ectopia lentis and seizures.")
    ).relations
    assert {relation.object for relation in relations} == {"HP:1", "HP:2"}


def test_evidence_is_the_sentence_where_it_stands(rules: RulesExtractor) -> None:
    document = abstract(
        "First.", "Something else. Chloramphenicol-induced aplastic anemia in Japan in 1998. More."
    )
    (relation,) = rules.extract(document).relations
    (evidence,) = relation.evidence
    assert document.text[evidence.start : evidence.end] == evidence.sentence
    assert evidence.sentence == "Chloramphenicol-induced aplastic anemia in Japan in 1998."
    assert (relation.temporal, relation.spatial) == ("in 1998", "Japan")
    assert evidence.origin == "PMID:1, J 2000"


NUMBERS = (
    "CD4+ counts in Marfan syndrome: a case.",
    "RESULTS: With p<0.05 (95% CI 0.9-1.4) Marfan syndrome was treated with losartan 5 "
    "mg/kg/day  and  β-blockers. "
    "Aplastic anaemia was caused by chloramphenicol at 1.5 × 10-3 M in CD4+ and CD8- cells (n<10). "
    "Seizures were seen in 3/7 patients with pneumonia, e.g. at -20 °C; 50 % died.",
)


def test_numbers_symbols_and_spaces_stay_as_they_are(rules: RulesExtractor) -> None:
    document = abstract(*NUMBERS)
    stated = [
        relation for relation in rules.extract(document).relations if relation.confidence >= 0.5
    ]
    assert {relation.predicate for relation in stated} == {
        "treated_with",
        "induced_by",
        "presents_with",
    }
    sentences = {evidence.sentence for relation in stated for evidence in relation.evidence}
    assert sentences == {
        (
            "RESULTS: With p<0.05 (95% CI 0.9-1.4) Marfan syndrome was treated with losartan 5 "
            "mg/kg/day  and  β-blockers."
        ),
        (
            "Aplastic anaemia was caused by chloramphenicol at 1.5 × 10-3 M in CD4+ and CD8- "
            "cells (n<10)."
        ),
        "Seizures were seen in 3/7 patients with pneumonia, e.g. at -20 °C; 50 % died.",
    }
    for relation in stated:
        for evidence in relation.evidence:
            assert document.text[evidence.start : evidence.end] == evidence.sentence


WEAKLY_TIED = (
    "Marfan syndrome and FBN1.",
    "Marfan syndrome, FBN1 and what is known. FBN1 is met in Marfan syndrome.",
)


def test_entities_tied_without_a_cue_are_weak_relations_unless_they_are_not_wanted(
    vocabulary: Vocabulary, matcher: Matcher, rules: RulesExtractor
) -> None:
    (weak,) = rules.extract(abstract(*WEAKLY_TIED)).relations
    assert (weak.subject, weak.predicate, weak.object) == ("OMIM:1", "associated_gene", "GENE:FBN1")
    assert 0.1 < weak.confidence < 0.5
    assert weak.evidence[0].sentence == "Marfan syndrome and FBN1."
    sure = RulesExtractor(vocabulary, matcher, NO_HPO, min_confidence=0.5)
    assert sure.extract(abstract(*WEAKLY_TIED)).relations == ()
    assert sure.extract(abstract(*WEAKLY_TIED)).entities == ("GENE:FBN1", "OMIM:1")
    stated = abstract("FBN1 mutations cause Marfan syndrome.")
    assert sure.extract(stated) == rules.extract(stated)


def test_a_symmetric_relation_has_one_id_whichever_comes_first(rules: RulesExtractor) -> None:
    (first,) = rules.extract(abstract("Losartan in combination with chloramphenicol.")).relations
    (second,) = rules.extract(abstract("Chloramphenicol in combination with losartan.")).relations
    assert first.relation_id == second.relation_id
    assert (first.subject, first.predicate, first.object) == ("DRUG:1", "combined_with", "DRUG:2")


def test_contexts() -> None:
    assert find_time("Cases seen between 1990 and 1995 in London") == "between 1990 and 1995"
    assert find_time("Given 1990 mg") == ""
    assert find_place("patients from the United Kingdom and Japan") == "United Kingdom"
    assert find_population("in patients and in pregnant women") == "pregnant women"
    assert find_population("in 12 patients") == ""


@pytest.mark.parametrize(
    "document",
    [
        abstract("Chloramphenicol-induced aplastic anemia.", retracted=True),
        abstract("Chloramphenicol-induced aplastic anemia.", types=("D016441",)),
    ],
)
def test_retracted_papers_are_no_evidence(rules: RulesExtractor, document: Document) -> None:
    extraction = rules.extract(document)
    assert (extraction.entities, extraction.relations) == ((), ())


def test_focus_keeps_the_relations_of_an_entity(rules: RulesExtractor) -> None:
    document = abstract(
        "Chloramphenicol-induced aplastic anemia.", "Marfan syndrome was treated with losartan."
    )
    assert len(rules.extract(document).relations) == 2
    (focused,) = rules.extract(document, {"OMIM:1"}).relations
    assert focused.subject == "OMIM:1"


def test_the_same_relation_from_two_papers_keeps_both_sentences(rules: RulesExtractor) -> None:
    (first,) = rules.extract(abstract("Aplastic anemia was caused by chloramphenicol.")).relations
    document = Document(
        "PMID:2", "pubmed", "", "Chloramphenicol-induced aplastic anemia.", None, (), False, ""
    )
    (second,) = rules.extract(document).relations
    assert first.relation_id == second.relation_id
    merged = merge_relations(first, second)
    assert merged == merge_relations(second, first)
    assert {evidence.document_id for evidence in merged.evidence} == {"PMID:1", "PMID:2"}


def test_the_first_passage_is_the_one_that_the_context_is_of(rules: RulesExtractor) -> None:
    """In whatever order the papers are merged."""
    sentences = (
        "Aplastic anemia was seen in 7% of patients treated with chloramphenicol.",
        "Chloramphenicol-induced aplastic anemia in NCT01234567.",
        "Aplastic anemia was caused by chloramphenicol.",
    )
    documents = [
        Document(f"PMID:{number}", "pubmed", "", sentence, None, (), False, "")
        for number, sentence in enumerate(sentences)
    ]
    relations = [rules.extract(document).relations[0] for document in documents]
    merged = {reduce(merge_relations, order) for order in itertools.permutations(relations)}
    (relation,) = merged
    assert relation.clinical == "trial NCT01234567"
    assert [evidence.document_id for evidence in relation.evidence] == [
        "PMID:1",
        "PMID:0",
        "PMID:2",
    ]


def format_qualifier(fact: DiseaseFact) -> str:
    """The qualifier, where the wording of the predicate prints it."""
    return fact.clinical if PREDICATES[fact.predicate].prints_clinical(forward=True) else ""


def test_real_records_are_read_back_fact_for_fact() -> None:
    """Every fact whose object the lexicon holds comes back from the text of the record, with its
    reference."""
    hpo = load_hpo()
    vocabulary = Vocabulary(build_lexicon(("hpo", "hpo_diseases", "genes")))
    extractor = RulesExtractor(vocabulary, Matcher.build([], 4), hpo)
    diseases = [disease for _, disease in sorted(hpo.diseases.items()) if disease.facts][::40]
    stated_count = 0
    read_count = 0
    for disease in diseases:
        facts = {
            (fact.predicate, fact.object_id, format_qualifier(fact), fact.reference)
            for fact in disease.facts
            if fact.object_id in vocabulary
        }
        document = document_from_disease(disease)
        relations = extractor.extract(document).relations
        for relation in relations:
            (evidence,) = relation.evidence
            assert document.text[evidence.start : evidence.end] == evidence.sentence
            assert vocabulary.name_of(relation.object) in evidence.sentence
        assert all(
            (e.year, e.journal) == (None, "") for relation in relations for e in relation.evidence
        ), "no journal's report"
        extracted = {
            (relation.predicate, relation.object, relation.clinical, relation.evidence[0].reference)
            for relation in relations
        }
        stated_count += len(facts)
        read_count += len(facts & extracted)
        assert extracted <= facts
    assert stated_count > 3000
    assert read_count == stated_count


def test_an_annotation_that_the_document_does_not_show_gives_no_relation() -> None:
    hpo = load_hpo()
    extractor = RulesExtractor(
        Vocabulary(build_lexicon(("hpo", "hpo_diseases", "genes"))), Matcher.build([], 4), hpo
    )
    shown = document_from_disease(hpo.diseases["OMIM:245200"])
    lines = shown.text.splitlines()
    hidden = replace(shown, text="\n".join(lines[:-1]))
    assert len(extractor.extract(hidden).relations) == len(extractor.extract(shown).relations) - 1


def build_reply(*relations: dict[str, object]) -> dict[str, object]:
    content = json.dumps({"relations": list(relations)})
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": content},
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }


def test_a_models_reading_is_checked_against_document_and_vocabulary(
    httpserver: HTTPServer, vocabulary: Vocabulary, matcher: Matcher, rules: RulesExtractor
) -> None:
    document = abstract("Case.", "Marfan syndrome improved on losartan. Pneumonia followed.")
    good = {
        "subject": "Marfan syndrome",
        "predicate": "treated_with",
        "object": "Losartan",
        "confidence": 0.8,
        "sentence": "Marfan syndrome improved on  losartan.",
    }
    wrong = [
        good | {"sentence": "Marfan syndrome was cured by losartan."},  # no such sentence
        good | {"object": "Aspirin"},  # not in the vocabulary
        good | {"object": "Chloramphenicol"},  # not in the document
        good | {"predicate": "cures"},
        good | {"predicate": "presents_with"},  # a drug is no phenotype
        good | {"sentence": ""},
    ]
    httpserver.expect_request("/v1/chat/completions").respond_with_json(build_reply(good, *wrong))
    client = ChatClient(EndpointConfig(base_url=httpserver.url_for("/v1"), model="m", cache=False))
    extraction = LLMExtractor(client, "m", vocabulary, matcher, rules).extract(document)
    (relation,) = extraction.relations
    assert (relation.subject, relation.predicate, relation.object) == (
        "OMIM:1",
        "treated_with",
        "DRUG:1",
    )
    assert relation.extractor == "m"
    assert relation.evidence[0].sentence == "Marfan syndrome improved on losartan."
    assert extraction.entities == ("DRUG:1", "MESH:2", "OMIM:1")
