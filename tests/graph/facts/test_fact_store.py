"""The store of facts: of an entity that very many facts lead to, every predicate has its newest."""

from collections import Counter
from pathlib import Path

import polars as pl

from medr_ray.core.records import Fact, to_table
from medr_ray.core.run import RunDirectory
from medr_ray.graph.facts.fact_store import FactStore, build_fact_store, choose_facts
from medr_ray.knowledge.registries import FactCollector

COMPANY = "COMPANY:acme"


def collect_facts(trials: int, labels: int) -> list[Fact]:
    """Facts about a company, the later ones dated later."""
    facts: list[Fact] = []
    for number in range(trials):
        record = FactCollector("clinical_trials", f"NCT{number:08d}", "T", f"{2000 + number:04d}")
        record.add_link(f"NCT:NCT{number:08d}", "lead_sponsor", COMPANY, "name", "Acme")
        facts += record.build().facts
    for number in range(labels):
        record = FactCollector("drug_labels", f"label-{number}", "L", "1999-01-01")
        record.add_link(f"LABEL:label-{number}", "label_manufacturer", COMPANY, "name", "Acme")
        facts += record.build().facts
    return facts


def test_of_very_many_facts_every_predicate_has_its_newest(tmp_path: Path) -> None:
    directory = RunDirectory(str(tmp_path / "run")).stage("facts")
    facts = collect_facts(trials=300, labels=20)
    build_fact_store(directory, [to_table(Fact, facts)], [])
    store = FactStore.open(directory)
    about = store.facts_about(COMPANY)
    assert Counter(fact.predicate for fact in about) == {
        "label_manufacturer": 20,
        "lead_sponsor": 180,
    }
    dates = [fact.as_of for fact in about if fact.predicate == "lead_sponsor"]
    assert min(dates) == str(2000 + 300 - 180)
    assert store.count_facts(COMPANY) == {
        ("lead_sponsor", False): 300,
        ("label_manufacturer", False): 20,
    }


def test_the_choice_does_not_depend_on_the_order_of_the_facts() -> None:
    facts = collect_facts(trials=30, labels=20)
    rows = [(fact.fact_id, fact.predicate, fact.as_of) for fact in facts]
    schema = ["fact_id", "predicate", "as_of"]
    chosen = choose_facts(pl.DataFrame(rows, schema=schema, orient="row"), 7)
    turned = choose_facts(pl.DataFrame(rows[::-1], schema=schema, orient="row"), 7)
    assert chosen == turned
    assert len(chosen) == 7
