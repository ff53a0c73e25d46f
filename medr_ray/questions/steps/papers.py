"""Steps over papers, as PubMed cites them."""

from collections.abc import Iterator

from medr_ray.graph.facts.fact_table import FactTable, StatedFact
from medr_ray.questions.steps.kinds import (
    Cues,
    Outcome,
    Refusal,
    StepKind,
    Wording,
    follow,
    propose_subjects,
    take_single,
)

_PUBMED = ("pubmed",)


def _is_first(fact: StatedFact) -> bool:
    return fact.qualifier("position") == "1"


def find_first_author(table: FactTable, paper: str) -> Outcome:
    """The first of several authors."""
    facts = [fact for fact in table.facts_of("has_author", paper) if _is_first(fact)]
    if any(fact.qualifier("authors") == "1" for fact in facts):
        return Refusal("hops_needed: the paper has a single author")
    return take_single(facts, [fact.object for fact in facts], "first author")


def _propose_trial_papers(table: FactTable) -> Iterator[tuple[str, ...]]:
    papers = {paper for (paper,) in propose_subjects("registered_as")(table)}
    papers |= {
        fact.object
        for trial in table.subjects("reports_results_in")
        for fact in table.facts_of("reports_results_in", trial)
    }
    for paper in sorted(papers):
        yield (paper,)


KINDS = (
    StepKind(
        "journal_of_paper",
        ("paper",),
        "journal",
        follow("published_in"),
        Wording(question=("In which journal was {0} published?",)),
        Wording(
            question=(
                "{0}发表在哪本期刊上？",
                "{0}刊登于哪本期刊？",
            ),
        ),
        _PUBMED,
        _propose_trial_papers,
        cues=Cues(("journal",), asides=("report",)),
    ),
    StepKind(
        "year_of_paper",
        ("paper",),
        "year",
        follow("publication_year"),
        Wording(question=("In which year was {0} published?",)),
        Wording(
            question=(
                "{0}发表于哪一年？",
                "{0}是哪一年发表的？",
            ),
        ),
        _PUBMED,
        _propose_trial_papers,
        cues=Cues(("report",)),
    ),
    StepKind(
        "first_author_of_paper",
        ("paper",),
        "person",
        find_first_author,
        Wording(question=("Who is the first author of {0}?",)),
        Wording(
            question=(
                "{0}的第一作者是谁？",
                "谁是{0}的第一作者？",
            ),
        ),
        _PUBMED,
        _propose_trial_papers,
        cues=Cues(("first * author", "author * first"), asides=("report",)),
    ),
    StepKind(
        "retraction_of_paper",
        ("paper",),
        "paper",
        follow("retracted_by"),
        Wording(
            noun=("the notice that retracts {0}",),
            reference="that notice",
        ),
        Wording(
            noun=("撤回{0}的撤稿声明",),
            reference="该声明",
        ),
        _PUBMED,
        propose_subjects("retracted_by"),
        cues=Cues(("retract",), asides=("notice",)),
    ),
)
