"""Facts of registries become relations that cite them, and a graph grows over both."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from medr_ray.core.config import GraphConfig
from medr_ray.core.records import Fact, NodeType
from medr_ray.graph.expansion import Expander
from medr_ray.graph.extraction.extractor import Extraction, merge_relations
from medr_ray.graph.facts.curated_statements import list_graph_statements
from medr_ray.graph.facts.fact_index import is_stated_in
from medr_ray.graph.facts.registry_relations import (
    RegistryNodes,
    build_fact_relations,
    make_value_id,
    print_value,
)
from medr_ray.graph.vocabulary import Vocabulary
from medr_ray.knowledge.lexicon import Concept
from medr_ray.knowledge.qualifiers import find_restriction
from medr_ray.knowledge.registries.identifiers import (
    make_company_id,
    make_paper_id,
    make_product_id,
    make_trial_id,
)
from medr_ray.knowledge.registries.literals import (
    make_category,
    make_number,
    make_text,
    parse_date,
)
from medr_ray.knowledge.registries.record_facts import FactCollector, RecordFacts
from medr_ray.retrieval.documents import Document

DRUG = "DRUG:colchicine"
TRIAL = make_trial_id("NCT00000001")
OTHER_TRIAL = make_trial_id("NCT00000002")
SPONSOR = make_company_id("Acme Pharma")


def read_trial(trial: str, as_of: str = "2019-07-12") -> RecordFacts:
    record_id = trial.removeprefix("NCT:")
    facts = FactCollector("clinical_trials", record_id, "Gout trial", as_of)
    facts.add_entity(trial, "trial", "Gout trial")
    facts.add_entity(SPONSOR, "company", "Acme Pharma")
    facts.add_entity(DRUG, "substance", "Colchicine")
    field = "protocolSection.designModule.phases"
    facts.add_link(trial, "lead_sponsor", SPONSOR, "leadSponsor.name", "Acme Pharma")
    facts.add_value(trial, "trial_phase", make_category("PHASE2"), field, "PHASE2")
    facts.add_value(trial, "start_date", parse_date("2015-03"), "startDateStruct.date", "2015-03")
    number = make_number(120, "participants")
    facts.add_value(trial, "enrolment", number, "enrollmentInfo.count", "120")
    facts.add_link(trial, "studies_intervention", DRUG, "interventions.0.name", "Colchicine")
    facts.add_value(trial, "trial_title", make_text("Gout trial"), "briefTitle", "Gout trial")
    return facts.build()


class RecordLibrary:
    """The facts of some records, functional ones first as they come."""

    def __init__(self, *records: RecordFacts) -> None:
        self.facts = [fact for record in records for fact in record.facts]
        self.entities = {
            entity.entity_id: entity for record in records for entity in record.entities
        }

    def facts_about(self, entity_id: str) -> Sequence[Fact]:
        return [fact for fact in self.facts if entity_id in (fact.subject, fact.object)]

    def name_of(self, entity_id: str) -> str:
        return self.entities[entity_id].names[0]

    def type_of(self, entity_id: str) -> NodeType | None:
        entity = self.entities.get(entity_id)
        return entity.entity_type if entity else None


class NoDocuments:
    def find_record(self, entity: str) -> Document | None:
        return None

    def search(self, query: str, count: int) -> list[Document]:
        return []


class NoExtractor:
    def extract(self, document: Document, focus: object = None) -> Extraction:
        raise AssertionError("there is no document to read")


def build_vocabulary(library: RecordLibrary) -> Vocabulary:
    colchicine = Concept(DRUG, "Colchicine", "drug", ("colchicine",), ("UNII:1",), "")
    return Vocabulary([colchicine], nodes=RegistryNodes(library))


def build_expander(library: RecordLibrary, **settings: int) -> Expander:
    return Expander(
        NoDocuments(),
        NoExtractor(),
        build_vocabulary(library),
        GraphConfig(**settings),
        run_seed=0,
        facts=library,
    )


def test_a_relation_cites_its_fact_and_quotes_the_field() -> None:
    record = read_trial(TRIAL)
    relations = {relation.predicate: relation for relation in build_fact_relations(record.facts)}
    sponsor = relations["lead_sponsor"]
    assert (sponsor.subject, sponsor.object) == (TRIAL, SPONSOR)
    assert sponsor.facts == (record.facts[0].fact_id,)
    assert sponsor.confidence == 1.0
    (evidence,) = sponsor.evidence
    assert evidence.source == "clinical_trials"
    assert evidence.document_id == "NCT:NCT00000001"
    assert evidence.sentence == "lead sponsor name: Acme Pharma"
    # A sponsor may change, a phase does not.
    assert sponsor.temporal == "as of 12 July 2019"
    assert relations["trial_phase"].temporal == ""
    assert "trial_title" not in relations, "a fact without wording is no relation"


def test_relations_of_two_records_are_merged_with_the_facts_of_both() -> None:
    first, second = (next(build_fact_relations(read_trial(TRIAL).facts)) for _ in range(2))
    second = replace(second, facts=("fact-of-another-record",))
    assert merge_relations(first, second).facts == tuple(sorted((*first.facts, *second.facts)))


@pytest.mark.parametrize(
    ("literal", "name", "alias"),
    [
        (parse_date("2019-08-12"), "12 August 2019", "August 12, 2019"),
        (parse_date("2019-08-12"), "12 August 2019", "2019-08-12"),
        (parse_date("2019-08"), "August 2019", "2019-08"),
        (make_number("1,200", "participants"), "1200 participants", "1200"),
        (make_category("PHASE2"), "Phase 2", "PHASE2"),
        (make_category("PHASE1, PHASE2"), "Phase 1, Phase 2", "PHASE1, PHASE2"),
        (make_category("NOT_APPLICABLE"), "Not applicable", "NOT_APPLICABLE"),
    ],
)
def test_a_value_is_named_as_a_person_prints_it(literal, name: str, alias: str) -> None:  # type: ignore[no-untyped-def]
    printed, aliases = print_value(make_value_id(literal))
    assert printed == name
    assert alias in aliases


@pytest.mark.parametrize("text", ["2019", "A", "LIPITOR"])
def test_a_value_that_has_one_spelling_is_printed_as_it_is(text: str) -> None:
    literal = parse_date(text) if text.isdigit() else make_text(text)
    assert print_value(make_value_id(literal)) == (text, ())


def test_nodes_of_registries_go_by_number_and_by_type() -> None:
    library = RecordLibrary(read_trial(TRIAL))
    vocabulary = build_vocabulary(library)
    trial = vocabulary.build_entity(TRIAL, None, is_seed=False)
    assert (trial.name, trial.entity_type, trial.aliases) == (
        "NCT00000001",
        "trial",
        ("Gout trial",),
    )
    # The substance is a concept of the lexicon, and the concept's name and type count.
    assert vocabulary.type_of(DRUG) == "drug"
    assert vocabulary.name_of(SPONSOR) == "Acme Pharma"
    assert make_paper_id("1") not in vocabulary


def test_a_substance_outside_the_lexicon_is_a_drug_and_products_are_told_apart() -> None:
    collector = FactCollector("orange_book", "NDA000001", "X", "")
    products = [make_product_id("FDA:NDA000001", number) for number in ("1", "2")]
    for product in products:
        collector.add_entity(product, "product", "ACMEX")
    collector.add_entity("SUBSTANCE:acmexine", "substance", "ACMEXINE")
    nodes = RegistryNodes(RecordLibrary(collector.build()))
    substance = nodes.find_node("SUBSTANCE:acmexine")
    assert substance is not None
    assert substance.entity_type == "drug"
    names = {node.name for product in products if (node := nodes.find_node(product))}
    assert names == {"ACMEX (NDA000001/001)", "ACMEX (NDA000001/002)"}


def test_a_graph_grows_from_a_drug_over_its_trials_to_what_they_state() -> None:
    library = RecordLibrary(read_trial(TRIAL), read_trial(OTHER_TRIAL))
    graph = build_expander(library).expand(DRUG)
    assert {TRIAL, OTHER_TRIAL, SPONSOR} <= graph.entities
    predicates = {relation.predicate for relation in graph.relations.values()}
    assert predicates >= {"studies_intervention", "lead_sponsor", "start_date", "enrolment"}
    assert all(relation.facts for relation in graph.relations.values())


def test_functional_facts_come_first_and_no_limit_is_exceeded() -> None:
    library = RecordLibrary(read_trial(TRIAL))
    graph = build_expander(library, steps=1, max_relations_per_entity=4).expand(TRIAL)
    assert {relation.predicate for relation in graph.relations.values()} == {
        "lead_sponsor",
        "trial_phase",
        "start_date",
        "enrolment",
    }


def test_a_changed_fact_makes_a_seed_grow_again_and_nothing_else_does() -> None:
    grown = build_expander(RecordLibrary(read_trial(TRIAL))).expand(DRUG).to_grown_seed()
    assert build_expander(RecordLibrary(read_trial(TRIAL))).is_up_to_date(grown)
    assert not build_expander(RecordLibrary(read_trial(OTHER_TRIAL))).is_up_to_date(grown)
    newer = RecordLibrary(read_trial(TRIAL, as_of="2020-01-01"))
    assert not build_expander(newer).is_up_to_date(grown)


@pytest.mark.parametrize(
    ("printed", "clinical"),
    [
        ("3/7", "3 of 7 patients"),
        ("HP:0040282", "30-79% of patients"),
        ("Frequent (79-30%)", "30-79% of patients"),
        ("Very rare (<4-1%)", "1-4% of patients"),
        ("", "some patients"),
    ],
)
def test_shares_of_patients_are_worded_alike_whoever_prints_them(
    printed: str, clinical: str
) -> None:
    facts = FactCollector("orphanet", "ORPHA:1", "A disease")
    facts.add_link("ORPHA:1", "has_finding", "HP:1", "HPOId", "HP:1", frequency=printed)
    (relation,) = build_fact_relations(facts.build().facts)
    assert relation.clinical == clinical


@pytest.mark.parametrize(
    ("predicate", "literal", "qualifiers", "clinical"),
    [
        ("start_date", parse_date("2027-03"), {"date_type": "ESTIMATED"}, "estimated"),
        ("start_date", parse_date("2015-03"), {"date_type": "ACTUAL"}, ""),
        ("start_date", parse_date("1999-03"), {}, ""),
        ("enrolment", make_number(120), {"count_type": "ESTIMATED"}, "estimated"),
        (
            "patent_expiry_date",
            parse_date("2027-03-01"),
            {"extension": "pediatric", "product": "NDA020123/001"},
            "pediatric extension; for product NDA020123/001",
        ),
        ("exclusivity_end_date", parse_date("2027-03-01"), {"code": "ODE-64"}, "ODE-64"),
    ],
)
def test_no_qualifier_that_restricts_a_fact_is_dropped(  # type: ignore[no-untyped-def]
    predicate: str, literal, qualifiers: dict[str, str], clinical: str
) -> None:
    facts = FactCollector("clinical_trials", "NCT00000001", "Gout trial", "2019-07-12")
    facts.add_value(TRIAL, predicate, literal, "a.field", "as printed", **qualifiers)
    (relation,) = build_fact_relations(facts.build().facts)
    assert relation.clinical == clinical
    assert find_restriction(relation.clinical) == clinical


def test_what_only_a_record_states_is_no_searchable_passage() -> None:
    relations = list(build_fact_relations(read_trial(TRIAL).facts))
    assert not any(is_stated_in(relation, ("clinical_trials",)) for relation in relations)


def test_an_entry_that_was_merged_into_a_disease_still_speaks_for_its_authority() -> None:
    facts = FactCollector("hpo", "ORPHA:558", "Marfan syndrome")
    facts.add_link("OMIM:154700", "associated_gene", "GENE:FBN1", "gene_symbol", "FBN1")
    (relation,) = build_fact_relations(facts.build().facts)
    (evidence,) = relation.evidence
    assert evidence.document_id == "HPO:OMIM:154700"  # the document of both entries
    statements = list(list_graph_statements([relation]))
    assert [statement.authority for statement in statements] == ["ORPHA"]
