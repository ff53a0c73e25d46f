"""Obfuscation levels: how much of its numbers, sources and start a question hides.

- 0 names the start, and gives shares of patients and reports as stated.
- 1 words shares as comparisons ("more than three quarters of patients") and the years of reports
  as spans of five.
- 2 describes the start by two facts that together fit it and no other entity, and journals by the
  field they serve ("a journal of cardiology").
- 3 does both.

A description uses only facts that the question does not ask about, so that it gives nothing away.
"""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from medr_ray.core.records import Entity
from medr_ray.graph.facts.fact_index import FactIndex, IndexedFact
from medr_ray.graph.facts.hops import Hop
from medr_ray.knowledge import qualifiers
from medr_ray.knowledge.published_reports import is_report, with_field
from medr_ray.knowledge.shares import has_meaningful_share
from medr_ray.questions.drafting.question_paths import QuestionPath

LEVELS = (0, 1, 2, 3)
_COMPARING_LEVELS = (1, 3)
_DESCRIBING_LEVELS = (2, 3)

# Phrases for the predicates that a description may use; other predicates have none.
_ENGLISH_PHRASES = {
    "associated_gene": "associated with the gene {object}",
    "has_finding": "with {object} in {clinical}",
    "presents_with": "presenting with {object}",
    "complicated_by": "complicated by {object}",
}
_CHINESE_PHRASES = {
    "associated_gene": "与基因{object}相关",
    "has_finding": "在{clinical}中出现{object}",
    "presents_with": "表现为{object}",
    "complicated_by": "并发{object}",
}
# Facts of a description. A single fact would only be another hop.
_FACTS_PER_DESCRIPTION = 2
# Facts that are tried, so that a disease with hundreds of facts costs no more than one with a
# dozen.
_MAX_TRIED_FACTS = 12


@dataclass(frozen=True)
class StartDescription:
    """A set of facts about the same subject, which describes it without its name."""

    statements: tuple[IndexedFact, ...]

    def word_in_english(self, entities: Mapping[str, Entity]) -> str:
        """ "the disease with A in 3 of 7 patients and associated with the gene B"."""
        return "the disease " + " and ".join(
            _ENGLISH_PHRASES[fact.predicate].format(
                object=entities[fact.object].name, clinical=fact.clinical
            )
            for fact in self.statements
        )

    def word_in_chinese(self, entities: Mapping[str, Entity], share: Callable[[str], str]) -> str:
        """ "在7名患者中3名中出现A且与基因B相关的疾病"; ``share`` words the qualifier."""
        return (
            "且".join(
                _CHINESE_PHRASES[fact.predicate].format(
                    object=entities[fact.object].name, clinical=share(fact.clinical)
                )
                for fact in self.statements
            )
            + "的疾病"
        )

    def find_described_entities(self, facts: FactIndex) -> set[str]:
        """Every entity for which all the facts are stated."""
        # Looked up backwards without the qualifier first, then checked forwards with it.
        subjects_by_fact = [
            {
                subject
                for subject in facts.find_targets(fact.object, fact.predicate, False, "")
                if fact.object in facts.find_targets(subject, fact.predicate, True, fact.clinical)
            }
            for fact in self.statements
        ]
        return set.intersection(*subjects_by_fact)


def is_comparing_level(level: int) -> bool:
    """Whether a level words shares as comparisons."""
    return level in _COMPARING_LEVELS


def is_describing_level(level: int) -> bool:
    """Whether a level describes the start."""
    return level in _DESCRIBING_LEVELS


def word_hops_as_comparisons(hops: tuple[Hop, ...]) -> tuple[Hop, ...] | None:
    """The hops with shares as comparisons and years as spans; None when one hop cannot be worded
    so."""
    worded = []
    for hop in hops:
        worded_hop = word_hop_as_comparison(hop)
        # One exact hop among comparisons would give away what the others hide.
        if worded_hop is None:
            return None
        worded.append(worded_hop)
    return tuple(worded)


def word_hop_as_comparison(hop: Hop) -> Hop | None:
    """The hop with its share as a comparison or its year as a span; None when it cannot be worded
    so."""
    # Without a qualifier there is nothing to hide, and the hop stays as it is.
    words = qualifiers.generalise_qualifier(hop.clinical) if hop.clinical else ""
    return None if words is None else replace(hop, clinical=words)


def replace_journals_with_fields(hops: tuple[Hop, ...]) -> tuple[Hop, ...]:
    """The hops with journals replaced by the fields they serve."""
    return tuple(
        replace(hop, clinical=with_field(hop.clinical)) if is_report(hop.clinical) else hop
        for hop in hops
    )


def describe_start(path: QuestionPath, facts: FactIndex) -> StartDescription | None:
    """The first pair of facts, in a fixed order, that fits the start alone; None when no pair
    does."""
    # Entities that the question names or asks for would give a part of it away.
    used = {*path.entities, *(clause.other for clause in path.clauses)} - {path.start}
    # A finding needs a share: its phrase has a place for it.
    usable = [
        fact
        for fact in facts.facts_about(path.start)
        if fact.predicate in _ENGLISH_PHRASES
        and fact.object in facts.entities
        and fact.object not in used
        and (fact.predicate != "has_finding" or has_meaningful_share(fact.clinical))
    ]
    for pair in itertools.combinations(usable[:_MAX_TRIED_FACTS], _FACTS_PER_DESCRIPTION):
        description = StartDescription(pair)
        if pair[0].object != pair[1].object and description.find_described_entities(facts) == {
            path.start
        }:
            return description
    return None
