"""Steps over rare diseases: what OMIM and Orphanet agree on, and what one of them says alone."""

from support.registry_facts import change_facts, state, value

from medr_ray.graph.facts.fact_table import FactTable
from medr_ray.questions.steps import STEP_KINDS
from medr_ray.questions.steps.kinds import Finding, Outcome, Refusal

APERT, SAETHRE_CHOTZEN, ADAMS_OLIVER = "OMIM:101200", "OMIM:101400", "OMIM:100300"


def find(table: FactTable, kind: str, *inputs: str) -> Outcome:
    return STEP_KINDS[kind].find(table, *inputs)


def reason(outcome: Outcome) -> str:
    assert isinstance(outcome, Refusal), outcome
    return outcome.reason


def test_a_gene_that_one_authority_alone_names_is_not_asked(table: FactTable) -> None:
    agreed = find(table, "gene_of_disease", APERT)
    assert isinstance(agreed, Finding)
    assert agreed.value == "GENE:FGFR2"
    assert {fact.record_id.partition(":")[0] for fact in agreed.facts} >= {"OMIM", "ORPHA"}
    assert reason(find(table, "gene_of_disease", ADAMS_OLIVER)).startswith("source: a single")
    # HPO's file prints Orphanet's entries too: two files are no two authorities.
    copied = frozenset(
        fact.fact_id
        for fact in table.facts_of("associated_gene", APERT)
        if fact.record_id.startswith("OMIM")
    )
    assert copied
    refusal = find(change_facts(table, drop=copied), "gene_of_disease", APERT)
    assert reason(refusal).startswith("source: a single authority")


def test_authorities_that_differ_are_not_asked(table: FactTable) -> None:
    assert reason(find(table, "gene_of_disease", SAETHRE_CHOTZEN)).startswith("contradiction")
    assert reason(find(table, "inheritance_of_disease", "OMIM:100100")).startswith("contradiction")


def test_a_gene_that_is_a_risk_is_no_cause(table: FactTable) -> None:
    risk = state(APERT, "associated_gene", "GENE:X", "orphanet", association="Major risk factor")
    refusal = find(change_facts(table, add=(risk,)), "gene_of_disease", APERT)
    assert reason(refusal) == "risk: a gene is no more than a risk"


def test_a_gene_of_several_diseases_has_no_only_one(table: FactTable) -> None:
    outcome = find(table, "disease_of_gene", "GENE:ABCC2")
    assert isinstance(outcome, Finding)
    assert outcome.value == "OMIM:237500"
    assert isinstance(find(table, "disease_of_gene", "GENE:FGFR2"), Refusal)
    # One authority's further disease is enough: the gene has two then.
    other = state("OMIM:999999", "associated_gene", "GENE:ABCC2", "hpo", record_id="OMIM:999999")
    assert isinstance(
        find(change_facts(table, add=(other,)), "disease_of_gene", "GENE:ABCC2"), Refusal
    )


def test_a_name_of_a_class_or_a_susceptibility_is_no_disease(table: FactTable) -> None:
    for kind in ("gene_of_disease", "inheritance_of_disease", "onset_of_disease"):
        assert reason(find(table, kind, "OMIM:106300")) == "class: no single disease"


def test_the_onset_is_asked_where_there_is_a_single_period(table: FactTable) -> None:
    outcome = find(table, "onset_of_disease", "OMIM:100800")
    assert isinstance(outcome, Finding)
    assert outcome.value == value("category", "Neonatal")
    assert outcome.as_of == "2021-03-01", "what Orphanet says is as of its edition"
    assert "2 values of onset_period" in reason(find(table, "onset_of_disease", "OMIM:100100"))
    assert reason(find(table, "onset_of_disease", "OMIM:106100")) == "form: at all ages"


def test_the_prevalence_is_worldwide_and_validated(table: FactTable) -> None:
    outcome = find(table, "prevalence_of_disease", "OMIM:100800")
    assert isinstance(outcome, Finding)
    assert outcome.value == value("category", "1-9 / 100 000")
    (fact,) = outcome.facts
    local = state(
        "OMIM:102500",
        "has_prevalence",
        value("category", "1-5 / 10 000"),
        "orphanet",
        place="Finland",
        kind=fact.qualifier("kind"),
        status=fact.qualifier("status"),
    )
    changed = find(change_facts(table, add=(local,)), "prevalence_of_disease", "OMIM:102500")
    assert isinstance(changed, Finding)
    assert changed.value == value("category", "<1 / 1 000 000")


def test_of_two_diseases_of_a_gene_the_inheritance_tells_one(table: FactTable) -> None:
    dominant = find(table, "disease_by_gene_and_inheritance", "GENE:TFG", "HP:0000006")
    recessive = find(table, "disease_by_gene_and_inheritance", "GENE:TFG", "HP:0000007")
    assert isinstance(dominant, Finding)
    assert isinstance(recessive, Finding)
    assert (dominant.value, recessive.value) == ("OMIM:604484", "OMIM:615658")
    several = find(table, "disease_by_gene_and_inheritance", "GENE:ACAN", "HP:0000006")
    assert "2 values" in reason(several)


def test_a_gene_that_two_diseases_share_is_stated_twice_of_each(table: FactTable) -> None:
    first, second = APERT, ADAMS_OLIVER
    genes = {first: ("GENE:A", "GENE:B"), second: ("GENE:B", "GENE:C")}
    facts = [
        state(disease, "associated_gene", gene, "hpo", record_id=f"{authority}:{disease[-3:]}")
        for disease, own in genes.items()
        for gene in own
        for authority in ("OMIM", "ORPHA")
    ]
    both = FactTable.build(facts, table.entities)
    outcome = find(both, "gene_of_both_diseases", first, second)
    assert isinstance(outcome, Finding)
    assert outcome.value == "GENE:B"
    missing = next(fact for fact in facts if fact.object == "GENE:B")
    fewer = change_facts(both, drop=frozenset([missing.fact_id]))
    assert isinstance(find(fewer, "gene_of_both_diseases", first, second), Refusal)
    single = find(table, "gene_of_both_diseases", APERT, "OMIM:101600")
    assert reason(single).startswith("hops_needed: a disease has a single gene")
