"""Steps over drug labels: weights of substances, and shares of patients with a reaction.

The labels of one drug are many, of several makers: what is asked is stated alike by all of them
that state it. A weight is that of the substance as the label calls it, base or salt.
"""

import re
from collections.abc import Iterator

from medr_ray.core.records import LiteralValue
from medr_ray.graph.facts.fact_table import FactTable, StatedFact
from medr_ray.graph.facts.registry_relations import make_value_id
from medr_ray.knowledge.name_normalization import fold_name
from medr_ray.questions.steps.kinds import (
    Finding,
    Outcome,
    Refusal,
    StepKind,
    Wording,
    make_text,
    propose_objects,
    take_single,
)

_LABELS = ("drug_labels",)
_PLACEBO = "placebo"
_SAME_WEIGHT = 1.0  # g/mol; a salt differs from its base by more
_MIN_PATIENTS = 30  # of an arm; a share of fewer is hardly one
# Of two reactions, the one that is more frequent is so by at least this.
_MIN_RATIO = 1.25


def find_molecular_weight(table: FactTable, drug: str) -> Outcome:
    """The weight in g/mol that labels give the substance by the drug's own name. Where it is also
    given to the substance by another name, it is that of a salt."""
    own_names = {fold_name(name) for name in table.names_of(drug)[:1]}
    facts: list[StatedFact] = []
    other_weights: list[float] = []
    for substance in table.facts_to("label_substance", drug):
        label = substance.subject
        names = {
            fold_name(fact.object.partition("/")[2])
            for fact in table.facts_of("label_generic_name", label)
        }
        is_alone = len({fact.object for fact in table.facts_of("label_substance", label)}) == 1
        for fact in table.facts_of("molecular_weight", label):
            called = fold_name(fact.qualifier("substance"))
            is_own = called in own_names if called else is_alone and names == own_names
            if is_own:
                facts += [fact, substance]
            elif fact.number is not None:
                other_weights.append(fact.number)
    stated = [fact for fact in facts if fact.predicate == "molecular_weight"]
    if any(
        abs((fact.number or 0.0) - other) < _SAME_WEIGHT
        for fact in stated
        for other in other_weights
    ):
        return Refusal("contradiction: the weight is that of a salt elsewhere")
    return take_single(facts, [fact.object for fact in stated], "molecular_weight")


# --- shares of patients with a reaction -----------------------------------------------


def _list_shares(table: FactTable, drug: str) -> list[StatedFact]:
    """The shares in labels of the drug alone, against placebo, in arms that are large enough."""
    facts = []
    for substance in table.facts_to("label_substance", drug):
        label = substance.subject
        if len({fact.object for fact in table.facts_of("label_substance", label)}) > 1:
            continue
        facts += [
            fact
            for fact in table.facts_of("adverse_reaction_share", label)
            if fold_name(fact.qualifier("comparator")) == _PLACEBO
            and min(_count(fact, "patients"), _count(fact, "comparator_patients")) >= _MIN_PATIENTS
        ]
    return facts


def _count(fact: StatedFact, name: str) -> int:
    text = fact.qualifier(name)
    return int(text) if text.isdecimal() else 0


def _find_share(table: FactTable, drug: str, reaction: str, patients: str) -> Outcome:
    facts = [
        fact
        for fact in _list_shares(table, drug)
        if make_text(fact.qualifier("reaction").lower()) == reaction
        and make_text(fact.qualifier("patients")) == patients
    ]
    return take_single(facts, [fact.object for fact in facts], "adverse_reaction_share")


def _find_placebo_share(table: FactTable, drug: str, reaction: str, patients: str) -> Outcome:
    outcome = _find_share(table, drug, reaction, patients)
    if isinstance(outcome, Refusal):
        return outcome
    shares = {fact.qualifier("comparator_share") for fact in outcome.facts}
    share = next(iter(shares)).rstrip("%")
    if len(shares) != 1 or not re.fullmatch(r"\d+(?:\.\d+)?", share):
        return Refusal("cardinality: labels differ in the share on placebo")
    value = make_value_id(LiteralValue("number", share, float(share), "%"))
    return Finding(value, outcome.facts)


def _find_more_frequent(
    table: FactTable, drug: str, patients: str, first: str, second: str
) -> Outcome:
    shares = {}
    facts: list[StatedFact] = []
    for reaction in (first, second):
        outcome = _find_share(table, drug, reaction, patients)
        if isinstance(outcome, Refusal):
            return outcome
        shares[reaction] = outcome.facts[0].number or 0.0
        facts += outcome.facts
    low, high = sorted(shares, key=lambda reaction: shares[reaction])
    if shares[high] < _MIN_RATIO * shares[low]:
        return Refusal("cardinality: both reactions are about as frequent")
    return Finding(high, tuple(facts))


def _propose_reactions(table: FactTable) -> Iterator[tuple[str, ...]]:
    for drug in table.objects("label_substance"):
        arms = {
            (fact.qualifier("reaction").lower(), fact.qualifier("patients"))
            for fact in _list_shares(table, drug)
        }
        for reaction, patients in sorted(arms):
            yield drug, make_text(reaction), make_text(patients)


def _propose_reaction_pairs(table: FactTable) -> Iterator[tuple[str, ...]]:
    proposals = list(_propose_reactions(table))
    for drug, first, patients in proposals:
        for other_drug, second, others in proposals:
            if (drug, patients) == (other_drug, others) and first < second:
                yield drug, patients, first, second


KINDS = (
    StepKind(
        "molecular_weight_of_drug",
        ("drug",),
        "number",
        find_molecular_weight,
        Wording(
            question=(
                "According to its FDA label, what is the molecular weight of {0}?",
                "What molecular weight, in g/mol, does the FDA label give for {0}?",
            )
        ),
        Wording(
            question=(
                "据FDA药品说明书，{0}的分子量是多少？",
                "FDA药品说明书给出的{0}的分子量（g/mol）是多少？",
            )
        ),
        _LABELS,
        propose_objects("label_substance"),
    ),
    StepKind(
        "reaction_share_on_drug",
        ("drug", "text", "text"),
        "number",
        _find_share,
        Wording(
            question=(
                "In the placebo-controlled trial with {2} patients on {0} that its FDA label "
                "describes, what percentage of them had {1}?",
            )
        ),
        Wording(
            question=(
                "FDA药品说明书描述了一项有{2}名患者使用{0}的安慰剂对照试验，其中多大比例的患者出现{1}？",
            )
        ),
        _LABELS,
        _propose_reactions,
    ),
    StepKind(
        "reaction_share_on_placebo",
        ("drug", "text", "text"),
        "number",
        _find_placebo_share,
        Wording(
            question=(
                "In the placebo-controlled trial with {2} patients on {0} that its FDA label "
                "describes, what percentage of the placebo group had {1}?",
            )
        ),
        Wording(
            question=(
                "FDA药品说明书描述了一项有{2}名患者使用{0}的安慰剂对照试验，安慰剂组中多大比例的患者出现"
                "{1}？",
            )
        ),
        _LABELS,
        _propose_reactions,
    ),
    StepKind(
        "more_frequent_reaction",
        ("drug", "text", "text", "text"),
        "text",
        _find_more_frequent,
        Wording(
            question=(
                "In the placebo-controlled trial with {1} patients on {0} that its FDA label "
                "describes, which was more frequent on the drug, {2} or {3}?",
            )
        ),
        Wording(
            question=(
                "FDA药品说明书描述了一项有{1}名患者使用{0}的安慰剂对照试验，用药患者中更常见的是{2}还是"
                "{3}？",
            )
        ),
        _LABELS,
        _propose_reaction_pairs,
        hops=2,
        offers_answer=True,
    ),
)
