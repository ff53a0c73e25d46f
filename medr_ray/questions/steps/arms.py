"""Steps over the arms of trials: which drugs each gets, and which did best.

Results name an arm by a title, which is that of the arm itself or names the same drugs. Which
result is the better one is said only where the outcome leaves no doubt, as survival does; of other
outcomes it is said which is higher.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from medr_ray.graph.facts.fact_table import FactTable, StatedFact
from medr_ray.knowledge.name_normalization import fold_name
from medr_ray.questions.steps.kinds import (
    Cues,
    Find,
    Outcome,
    Refusal,
    StepKind,
    Wording,
    make_text,
    propose_subjects,
    take_single,
)

Rank = Literal["best", "worst", "highest", "lowest"]

_REGISTRY = ("clinical_trials",)
_TEXT_PREFIX = "VALUE:text/"
_MAX_ARMS = 4  # compared with each other, so that a person can check them
_MAX_OUTCOME_WORDS = 14  # a longer title would fill the question
_EXPERIMENTAL = "EXPERIMENTAL"
_ACTIVE_COMPARATOR = "ACTIVE_COMPARATOR"
_ARM_TYPES = frozenset({_EXPERIMENTAL, _ACTIVE_COMPARATOR, "PLACEBO_COMPARATOR"})
# Outcomes of which more is better, and of which less is.
_MORE_IS_BETTER = re.compile(
    r"\b(?:overall|(?:progression|disease|event|recurrence|relapse|failure)[- ]free)[- ]survival\b"
    r"|\b(?:objective|overall|complete|clinical|tumou?r) (?:response|remission)(?: rate)?\b"
    r"|\b(?:OS|PFS|DFS|EFS|RFS|ORR)\b",
    re.IGNORECASE,
)
_LESS_IS_BETTER = re.compile(
    r"\b(?:exacerbations?|mortality|deaths?|hospitali[sz]ations?|relapses?)\b", re.IGNORECASE
)
# Words that turn the meaning of a figure: the time to a death is better when it is long.
_TURNING = re.compile(
    r"\b(?:without|free|time|duration|change|reduction|decrease|improvement|no|not|avoid\w*)\b",
    re.IGNORECASE,
)
_SURVIVAL = re.compile(r"[- ]free[- ]survival", re.IGNORECASE)
# Of the larger figure: a smaller difference between arms is hardly one.
_MIN_DIFFERENCE = 0.1
# Arms differ in size: more participants with a response need not be a higher share of them.
_COUNTED = re.compile(r"\b(?:participants|subjects|patients|events)$", re.IGNORECASE)
_SHARE = re.compile(r"\b(?:percent\w*|proportion|rate|%)", re.IGNORECASE)
_ALL_ARMS = re.compile(r"\b(?:total|overall|all (?:patients|subjects|participants))\b", re.I)


# --- which drugs an arm gets ----------------------------------------------------------


@dataclass(frozen=True)
class _Regimen:
    """The drugs of an arm, each once, with the facts that say so. ``is_complete`` is false where
    the arm also gets what is no single drug."""

    drugs: tuple[str, ...]
    facts: tuple[StatedFact, ...]
    is_complete: bool


def _list_regimens(table: FactTable, trial: str) -> dict[str, _Regimen]:
    """The regimens by the label of the arm."""
    facts_by_label: dict[str, list[StatedFact]] = {}
    for predicate in ("arm_intervention", "arm_among_others"):
        for fact in table.facts_of(predicate, trial):
            facts_by_label.setdefault(fact.qualifier("arm"), []).append(fact)
    return {
        label: _Regimen(
            tuple(dict.fromkeys(fact.object for fact in facts)),
            tuple(facts),
            all(fact.predicate == "arm_intervention" for fact in facts),
        )
        for label, facts in sorted(facts_by_label.items())
    }


def _list_labels(table: FactTable, trial: str) -> list[str]:
    facts = table.facts_of("trial_arm", trial)
    return [fact.object.removeprefix(_TEXT_PREFIX) for fact in facts]


def _find_named_drugs(table: FactTable, trial: str, title: str) -> frozenset[str]:
    """The drugs of a trial that a title names."""
    text = f" {fold_name(title)} "
    drugs = {
        fact.object
        for predicate in ("arm_intervention", "arm_among_others")
        for fact in table.facts_of(predicate, trial)
    }
    return frozenset(
        drug
        for drug in drugs
        if any(f" {fold_name(name)} " in text for name in table.names_of(drug))
    )


def _find_regimen(table: FactTable, trial: str, group: str) -> _Regimen | None:
    """What the arm of a group of the results gets; None where it is not certain which arm it is."""
    regimens = _list_regimens(table, trial)
    labels = [label for label in _list_labels(table, trial) if fold_name(label) == fold_name(group)]
    if not labels:
        named = _find_named_drugs(table, trial, group)
        labels = [
            label
            for label in _list_labels(table, trial)
            if named and _find_named_drugs(table, trial, label) == named
        ]
    # An arm without a drug of its own, of placebo alone, is in no fact.
    candidates = [regimens.get(label, _Regimen((), (), True)) for label in labels]
    if not candidates or not all(regimen.is_complete for regimen in candidates):
        return None
    if len({frozenset(regimen.drugs) for regimen in candidates}) > 1:
        return None
    return candidates[0]


# --- which arm did best ---------------------------------------------------------------


@dataclass(frozen=True)
class _ComparedArm:
    result: StatedFact
    number: float
    regimen: _Regimen


def _list_outcomes(table: FactTable, trial: str) -> dict[str, list[StatedFact]]:
    """The results by the title of the primary outcome, of those that have one figure an arm."""
    outcomes: dict[str, list[StatedFact]] = {}
    for fact in table.facts_of("primary_outcome_result", trial):
        outcomes.setdefault(fact.qualifier("outcome"), []).append(fact)
    return {title: facts for title, facts in outcomes.items() if _has_figure_for_each_arm(facts)}


def _has_figure_for_each_arm(facts: Sequence[StatedFact]) -> bool:
    groups = [fact.qualifier("group") for fact in facts]
    return (
        2 <= len(facts) <= _MAX_ARMS
        and len(set(groups)) == len(groups)
        and not any(_ALL_ARMS.search(group) for group in groups)
        and not any(fact.qualifier("outcome_class") or fact.qualifier("category") for fact in facts)
        and len({fact.qualifier("time_frame") for fact in facts}) == 1
    )


def _compare_arms(table: FactTable, trial: str, title: str) -> list[_ComparedArm] | Refusal:
    facts = _list_outcomes(table, trial).get(title)
    if facts is None:
        return Refusal("cardinality: the outcome has no single figure for each arm")
    if len(title.split()) > _MAX_OUTCOME_WORDS or re.search("[“”]", title):
        return Refusal("form: the title of the outcome is too long")
    arms = []
    for fact in facts:
        regimen = _find_regimen(table, trial, fact.qualifier("group"))
        if regimen is None or fact.number is None:
            return Refusal("cardinality: not every arm of the outcome has a known regimen")
        arms.append(_ComparedArm(fact, fact.number, regimen))
    if len({frozenset(arm.regimen.drugs) for arm in arms}) < 2:
        return Refusal("hops_needed: all arms get the same drugs")
    return arms


def _decide_direction(title: str, facts: Sequence[StatedFact]) -> bool | None:
    """Whether a higher figure is the better one; None where that is not certain."""
    unit = facts[0].object
    if _COUNTED.search(unit) and not _SHARE.search(unit):
        return None
    if _MORE_IS_BETTER.search(title) and not _TURNING.search(_SURVIVAL.sub("", title)):
        return True
    if _LESS_IS_BETTER.search(title) and not _TURNING.search(title):
        return False
    return None


def _find_arm(table: FactTable, trial: str, title: str, rank: Rank) -> list[_ComparedArm] | Refusal:
    """The arms of an outcome, first the one of that rank."""
    arms = _compare_arms(table, trial, title)
    if isinstance(arms, Refusal):
        return arms
    direction = _decide_direction(title, [arm.result for arm in arms])
    if (direction is None) == (rank in ("best", "worst")):
        return Refusal("form: the outcome is of the other kind")
    has_highest = rank == "highest" if direction is None else direction == (rank == "best")
    arms.sort(key=lambda arm: arm.number, reverse=has_highest)
    difference = abs(arms[0].number - arms[1].number)
    larger = max(abs(arms[0].number), abs(arms[1].number))
    if difference == 0 or (direction is not None and difference < _MIN_DIFFERENCE * larger):
        return Refusal("cardinality: two arms have nearly the same figure")
    return arms


def _read_title(outcome: str) -> str:
    return outcome.removeprefix(_TEXT_PREFIX)


def initial_of(table: FactTable, drug: str) -> str:
    """The first letter of the usual name of a drug; "" where it begins with a figure."""
    names = table.names_of(drug)
    return names[0][0].upper() if names and names[0][:1].isalpha() else ""


def _find_drug_by_letter(rank: Rank) -> Find:
    def find(table: FactTable, trial: str, outcome: str, letter: str) -> Outcome:
        arms = _find_arm(table, trial, _read_title(outcome), rank)
        if isinstance(arms, Refusal):
            return arms
        regimen = arms[0].regimen
        if len(regimen.drugs) < 2:
            return Refusal("hops_needed: the arm has a single drug")
        initials = {drug: initial_of(table, drug) for drug in regimen.drugs}
        if not all(initials.values()):
            return Refusal("form: the name of a drug begins with a figure")
        drugs = [drug for drug, initial in initials.items() if make_text(initial) == letter]
        return _conclude(arms, drugs)

    return find


def _find_only_drug(rank: Rank) -> Find:
    def find(table: FactTable, trial: str, outcome: str) -> Outcome:
        arms = _find_arm(table, trial, _read_title(outcome), rank)
        if isinstance(arms, Refusal):
            return arms
        others = {drug for arm in arms[1:] for drug in arm.regimen.drugs}
        if not others:
            return Refusal("hops_needed: no other arm gets a drug")
        return _conclude(arms, [drug for drug in arms[0].regimen.drugs if drug not in others])

    return find


def _conclude(arms: Sequence[_ComparedArm], drugs: Sequence[str]) -> Outcome:
    facts = [arm.result for arm in arms]
    facts += [fact for fact in arms[0].regimen.facts if fact.object in drugs]
    return take_single(facts, drugs, "drugs of the arm")


def _propose_outcomes(table: FactTable) -> Iterator[tuple[str, ...]]:
    for trial in table.subjects("primary_outcome_result"):
        for title in _list_outcomes(table, trial):
            yield trial, make_text(title)


def _propose_letters(table: FactTable) -> Iterator[tuple[str, ...]]:
    for trial, outcome in _propose_outcomes(table):
        regimens = _list_regimens(table, trial).values()
        initials = {initial_of(table, drug) for regimen in regimens for drug in regimen.drugs}
        for initial in sorted(initials - {""}):
            yield trial, outcome, make_text(initial)


# --- what the arms are for ------------------------------------------------------------


def _split_by_type(table: FactTable, trial: str) -> tuple[set[str], set[str]] | Refusal:
    """(Drugs of experimental arms, drugs of active comparators), where every arm is of a type that
    says which it is, and gets nothing but single drugs."""
    if table.facts_of("arm_among_others", trial):
        return Refusal("cardinality: an arm gets what is no single drug")
    types = {fact.qualifier("arm_type") for fact in table.facts_of("trial_arm", trial)}
    if not {_EXPERIMENTAL, _ACTIVE_COMPARATOR} <= types or not types <= _ARM_TYPES:
        return Refusal("cardinality: no experimental arm with an active comparator")
    facts = table.facts_of("arm_intervention", trial)
    experimental, comparator = (
        {fact.object for fact in facts if fact.qualifier("arm_type") == arm_type}
        for arm_type in (_EXPERIMENTAL, _ACTIVE_COMPARATOR)
    )
    # Where a comparator gets nothing that is told, its type may be a mistake.
    if not experimental or not comparator or table.facts_of("studies_among_others", trial):
        return Refusal("cardinality: an arm gets no drug")
    return experimental, comparator


def find_comparator_drug(table: FactTable, trial: str) -> Outcome:
    """The drug that the active comparator gets and no experimental arm."""
    split = _split_by_type(table, trial)
    if isinstance(split, Refusal):
        return split
    experimental, comparator = split
    if not experimental - comparator:
        return Refusal("cardinality: the comparator gets all drugs of the experimental arm")
    return _conclude_by_type(table, trial, comparator - experimental)


def find_experimental_drug(table: FactTable, trial: str) -> Outcome:
    """The drug that only experimental arms get, in a trial of several drugs."""
    split = _split_by_type(table, trial)
    if isinstance(split, Refusal):
        return split
    experimental, comparator = split
    return _conclude_by_type(table, trial, experimental - comparator)


def _conclude_by_type(table: FactTable, trial: str, drugs: set[str]) -> Outcome:
    facts = [fact for fact in table.facts_of("arm_intervention", trial) if fact.object in drugs]
    return take_single(facts, sorted(drugs), "drugs of the arms")


# --- words ----------------------------------------------------------------------------

_ENGLISH_RESULTS: dict[Rank, str] = {
    "best": "did best on",
    "worst": "did worst on",
    "highest": "had the highest figure for",
    "lowest": "had the lowest figure for",
}
_CHINESE_RESULTS: dict[Rank, str] = {
    "best": "疗效最好",
    "worst": "疗效最差",
    "highest": "数值最高",
    "lowest": "数值最低",
}

_RESULT_MEANINGS: dict[Rank, str] = {
    "best": "best",
    "worst": "worst",
    "highest": "higher",
    "lowest": "lower",
}
_ARM_ASIDES = ("participant", "arm", "compare", "two", "value", "several", "letter")


def _word_letter(rank: Rank) -> tuple[Wording, Wording]:
    result, chinese = _ENGLISH_RESULTS[rank], _CHINESE_RESULTS[rank]
    return (
        Wording(
            noun=(
                f"the drug starting with {{2}} in the arm of {{0}} that {result} the primary "
                "outcome “{1}”",
            ),
            statement=(
                f"One drug in the arm of {{0}} that {result} the primary outcome “{{1}}” "
                "starts with the letter {2}.",
            ),
            reference="that drug",
            question=(
                f"In {{0}}, among the drugs given in the arm that {result} the primary outcome "
                "“{1}”, which starts with the letter {2}?",
                f"Which drug starting with {{2}} was given in the arm of {{0}} that {result} "
                "the primary outcome “{1}”?",
            ),
        ),
        Wording(
            statement=(
                f"在{{0}}中，主要结局指标“{{1}}”{chinese}的一组所用药物里，只有一种的英文名以{{2}}"
                "开头。",
            ),
            reference="该药物",
            question=(
                f"在{{0}}中，主要结局指标“{{1}}”{chinese}的一组所用药物里，哪一种的英文名以{{2}}"
                "开头？",
            ),
        ),
    )


def _word_only_drug(rank: Rank) -> tuple[Wording, Wording]:
    result, chinese = _ENGLISH_RESULTS[rank], _CHINESE_RESULTS[rank]
    return (
        Wording(
            noun=(
                f"the drug given only in the arm of {{0}} that {result} the primary outcome "
                "“{1}”",
            ),
            statement=(
                f"In {{0}}, a single drug was given only in the arm that {result} the primary "
                "outcome “{1}”.",
            ),
            reference="that drug",
            question=(
                f"In {{0}}, which drug was given only in the arm that {result} the primary "
                "outcome “{1}”?",
            ),
        ),
        Wording(
            statement=(f"在{{0}}中，有一种药物只用于主要结局指标“{{1}}”{chinese}的一组。",),
            reference="该药物",
            question=(f"在{{0}}中，哪种药物只用于主要结局指标“{{1}}”{chinese}的一组？",),
        ),
    )


def _make_kinds(rank: Rank) -> tuple[StepKind, StepKind]:
    return (
        StepKind(
            f"drug_by_letter_in_{rank}_arm",
            ("trial", "text", "text"),
            "drug",
            _find_drug_by_letter(rank),
            *_word_letter(rank),
            _REGISTRY,
            _propose_letters,
            hops=2,
            cues=Cues(
                (f"{_RESULT_MEANINGS[rank]} & primary_outcome & arm & letter",), asides=_ARM_ASIDES
            ),
        ),
        StepKind(
            f"drug_only_in_{rank}_arm",
            ("trial", "text"),
            "drug",
            _find_only_drug(rank),
            *_word_only_drug(rank),
            _REGISTRY,
            _propose_outcomes,
            hops=2,
            cues=Cues((f"{_RESULT_MEANINGS[rank]} & primary_outcome & arm",), asides=_ARM_ASIDES),
        ),
    )


_RANKS: tuple[Rank, ...] = ("best", "worst", "highest", "lowest")

KINDS = (
    *(kind for rank in _RANKS for kind in _make_kinds(rank)),
    StepKind(
        "comparator_drug_of_trial",
        ("trial",),
        "drug",
        find_comparator_drug,
        Wording(
            noun=("the active comparator drug in {0}",),
            statement=("In {0}, a single drug was given only in the active-comparator arm.",),
            reference="that comparator",
            question=(
                "Which drug was the active comparator in {0}?",
                "In {0}, which drug was given only in the active-comparator arm?",
            ),
        ),
        Wording(
            noun=("{0}的阳性对照药物",),
            statement=("在{0}中，有一种药物只用于阳性对照组。",),
            reference="该对照药物",
            question=("{0}的阳性对照药物是哪种药物？",),
        ),
        _REGISTRY,
        propose_subjects("arm_intervention"),
        cues=Cues(("comparator",), asides=("arm", "participant", "compare")),
    ),
    StepKind(
        "experimental_drug_of_trial",
        ("trial",),
        "drug",
        find_experimental_drug,
        Wording(
            noun=("the drug given only in the experimental treatment of {0}",),
            statement=(
                "{0} gave one drug in its experimental treatment that its active comparator did "
                "not include.",
            ),
            reference="that drug",
            question=(
                "In {0}, which drug was part of the experimental treatment but not of the active "
                "comparator?",
            ),
        ),
        Wording(
            statement=("在{0}中，有一种药物只用于试验组，不用于阳性对照组。",),
            reference="该药物",
            question=("在{0}中，哪种药物只用于试验组，而不用于阳性对照组？",),
        ),
        _REGISTRY,
        propose_subjects("arm_intervention"),
        cues=Cues(
            ("experimental & comparator & without", "experimental * drug", "drug * experimental"),
            asides=("arm", "comparator", "without", "experimental", "participant", "compare"),
        ),
    ),
)
