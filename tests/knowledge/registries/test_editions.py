"""Of several editions of a record the newest counts, whatever order they are read in."""

import itertools

from medr_ray.core.records import Fact
from medr_ray.knowledge.registries.editions import keep_newest
from medr_ray.knowledge.registries.literals import make_category, parse_date
from medr_ray.knowledge.registries.record_facts import FactCollector

OLD, NEW = "2018-03-14", "2025-04-08"


def state_date(text: str, as_of: str, kind: str = "") -> Fact:
    facts = FactCollector("clinical_trials", "NCT00000001", "A trial", as_of)
    facts.add_value("NCT:1", "start_date", parse_date(text), "date", text, date_type=kind)
    return facts.build().facts[0]


def state_condition(disease: str, as_of: str, trial: str = "NCT:1") -> Fact:
    facts = FactCollector("clinical_trials", "NCT00000001", "A trial", as_of)
    facts.add_link(trial, "studies_condition", disease, "conditions", disease)
    return facts.build().facts[0]


def check_kept(facts: list[Fact], kept: list[Fact]) -> None:
    for ordered in itertools.permutations(facts):
        assert sorted(keep_newest(ordered), key=repr) == sorted(kept, key=repr)


def test_a_later_edition_replaces_a_value_with_its_qualifiers() -> None:
    planned = state_date("2020-01", OLD, "ESTIMATED")
    started = state_date("2021-06", NEW, "ACTUAL")
    check_kept([planned, started], [started])


def test_a_value_that_is_stated_again_has_the_later_date() -> None:
    check_kept(
        [state_date("2020-01", OLD), state_date("2020-01", NEW)], [state_date("2020-01", NEW)]
    )


def test_a_later_edition_replaces_a_list_as_a_whole() -> None:
    asthma, eczema = state_condition("D:1", OLD), state_condition("D:2", OLD)
    eczema_later = state_condition("D:2", NEW)
    check_kept([asthma, eczema, eczema_later], [eczema_later])


def test_what_a_later_edition_says_nothing_of_stays() -> None:
    of_another_subject = state_condition("D:1", OLD, "NCT:2")
    later = state_condition("D:2", NEW)
    earlier_date = state_date("2020-01", OLD)
    check_kept([of_another_subject, later, earlier_date], [of_another_subject, later, earlier_date])


def test_two_values_of_one_date_contradict_each_other_and_stay() -> None:
    facts = FactCollector("clinical_trials", "NCT00000001", "A trial", NEW)
    for phase in ("PHASE1", "PHASE2"):
        facts.add_value("NCT:1", "trial_phase", make_category(phase), "phases", phase)
    check_kept(list(facts.build().facts), list(facts.build().facts))
