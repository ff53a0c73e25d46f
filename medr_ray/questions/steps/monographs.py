"""Steps over LiverTox's monographs."""

from collections.abc import Iterator

from medr_ray.graph.facts.fact_table import FactTable
from medr_ray.questions.steps.kinds import (
    Cues,
    Finding,
    Outcome,
    Refusal,
    StepKind,
    Wording,
    propose_subjects,
    take_single,
)

_LIVERTOX = ("livertox",)
PROVISIONAL = "*"  # behind a score that rests on suspicion alone
_MAX_SCORED_DRUGS = 4  # of a trial, so that each can be looked up


def find_likelihood(table: FactTable, drug: str) -> Outcome:
    """The likelihood score of a drug, where LiverTox has one for all its uses."""
    if table.facts_of("liver_injury_likelihood_in_use", drug):
        return Refusal("cardinality: the score depends on the use")
    facts = table.facts_of("liver_injury_likelihood", drug)
    return take_single(facts, [fact.object for fact in facts], "liver_injury_likelihood")


def find_drug_with_score(table: FactTable, trial: str, score: str) -> Outcome:
    """Of the drugs that a trial studied, the one with that score; each of them has one."""
    studied = table.facts_of("studies_intervention", trial)
    drugs = dict.fromkeys(fact.object for fact in studied)
    if not 2 <= len(drugs) <= _MAX_SCORED_DRUGS or table.facts_of("studies_among_others", trial):
        return Refusal(f"cardinality: {len(drugs)} drugs under study")
    facts = list(studied)
    winners = []
    for drug in drugs:
        outcome = find_likelihood(table, drug)
        if isinstance(outcome, Refusal):
            return outcome
        if outcome.value.endswith(PROVISIONAL):
            return Refusal("cardinality: a score is provisional")
        facts += outcome.facts
        if outcome.value == score:
            winners.append(drug)
    return take_single(facts, winners, "drugs with that score")


def _propose_trials_and_scores(table: FactTable) -> Iterator[tuple[str, ...]]:
    for trial in table.subjects("studies_intervention"):
        scores = {
            outcome.value
            for fact in table.facts_of("studies_intervention", trial)
            if isinstance(outcome := find_likelihood(table, fact.object), Finding)
        }
        for score in sorted(scores):
            yield trial, score


KINDS = (
    StepKind(
        "liver_injury_likelihood_of_drug",
        ("drug",),
        "category",
        find_likelihood,
        Wording(
            question=(
                "What likelihood score for liver injury does LiverTox give {0}?",
                "How likely is {0} to cause liver injury, by LiverTox's likelihood score?",
            )
        ),
        Wording(
            question=(
                "LiverTox对{0}给出的肝损伤可能性评分是哪一级？",
                "在LiverTox中，{0}的肝损伤可能性评分是哪一级？",
            ),
        ),
        _LIVERTOX,
        propose_subjects("liver_injury_likelihood"),
        cues=Cues(
            ("likelihood & liver_injury|livertox", "score & livertox"),
            asides=("cause", "score", "likelihood", "liver_injury"),
        ),
    ),
    StepKind(
        "drug_of_trial_with_score",
        ("trial", "category"),
        "drug",
        find_drug_with_score,
        Wording(
            noun=("the drug studied in {0} that has a LiverTox likelihood score of {1}",),
            statement=(
                "Of the drugs studied in {0}, only one has a LiverTox likelihood score of {1}.",
            ),
            reference="that drug",
            question=("Which of the drugs studied in {0} has a LiverTox likelihood score of {1}?",),
        ),
        Wording(
            statement=("在{0}所研究的药物中，只有一种的肝损伤可能性评分（LiverTox）为{1}。",),
            reference="该药物",
            question=(
                "{0}所研究的药物中，哪一种的肝损伤可能性评分（LiverTox）为{1}？",
                "在{0}中，所研究的哪种药物的肝损伤可能性评分（LiverTox）为{1}？",
            ),
        ),
        ("clinical_trials", "livertox"),
        _propose_trials_and_scores,
        hops=2,
        cues=Cues(
            ("category & score|likelihood",),
            asides=("test", "several", "likelihood", "score", "liver_injury", "cause", "livertox"),
        ),
    ),
)
