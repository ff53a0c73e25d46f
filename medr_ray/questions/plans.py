"""Plans of questions: trees of steps, from what the question names to its answer.

The plan says what a question means. It is drafted from facts, put into words, and read back from
the words; the reading has to be equal to the draft. Two plans are equal when they take the same
steps from the same names.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from medr_ray.core.records import LiteralValue, QuestionStep
from medr_ray.graph.facts.fact_table import FactTable, StatedFact
from medr_ray.graph.facts.registry_relations import make_value_id
from medr_ray.questions.steps import STEP_KINDS
from medr_ray.questions.steps.kinds import Outcome, Refusal, StepKind

NAMED = "named"


@dataclass(frozen=True)
class PlanNode:
    """A step with its inputs; or, of the kind "named", what the question names: the id of an
    entity or of a typed value in ``value``."""

    kind: str
    inputs: tuple["PlanNode", ...] = ()
    value: str = ""

    @property
    def is_named(self) -> bool:
        """Whether the question names this value, and no step finds it."""
        return self.kind == NAMED

    @property
    def step_kind(self) -> StepKind:
        """The declaration of the step. KeyError where the node is named."""
        return STEP_KINDS[self.kind]

    def walk(self) -> Iterator["PlanNode"]:
        """The nodes of the tree, inputs before what is found from them."""
        for node in self.inputs:
            yield from node.walk()
        yield self

    @property
    def hops(self) -> int:
        """How many look-ups the plan takes."""
        return sum(node.step_kind.hops for node in self.walk() if not node.is_named)

    @property
    def sources(self) -> tuple[str, ...]:
        """The registries that the plan asks, each once, in order."""
        names = [
            source for node in self.walk() if not node.is_named for source in node.step_kind.sources
        ]
        return tuple(dict.fromkeys(names))


def name(value: str) -> PlanNode:
    """The node of a named value."""
    return PlanNode(NAMED, value=value)


@dataclass(frozen=True)
class SolvedStep:
    """A node with the value that it has in the facts, and the facts that say so."""

    node: PlanNode
    value: str
    facts: tuple[StatedFact, ...] = ()
    as_of: str = ""


@dataclass(frozen=True)
class SolvedPlan:
    """The steps of a plan in the order of ``PlanNode.walk``; the last is the answer's."""

    steps: tuple[SolvedStep, ...]

    @property
    def plan(self) -> PlanNode:
        return self.steps[-1].node

    @property
    def answer(self) -> str:
        """The id of the answer; "" where the records do not state one."""
        return self.steps[-1].value

    @property
    def as_of(self) -> str:
        """The date that facts which age are of, "" where none of them does. ValueError where they
        are of several: such a plan is refused."""
        dates = {step.as_of for step in self.steps if step.as_of}
        if len(dates) > 1:
            raise ValueError(f"facts of several dates: {sorted(dates)}")
        return next(iter(dates), "")

    @property
    def stated_date(self) -> str:
        """The date that the question has to add: ``as_of``, unless it names that date already, and
        what is asked does not age."""
        as_of = self.as_of
        if self.steps[-1].as_of:
            return as_of
        date = make_value_id(LiteralValue("date", as_of))
        is_named = any(step.node.is_named and step.value == date for step in self.steps)
        return "" if is_named else as_of

    @property
    def facts(self) -> tuple[StatedFact, ...]:
        """All facts, each once."""
        return tuple(dict.fromkeys(fact for step in self.steps for fact in step.facts))


def solve_plan(plan: PlanNode, table: FactTable) -> SolvedPlan | Refusal:
    """Find every step of a plan in the facts, or the reason why one of them cannot be asked."""
    steps: list[SolvedStep] = []
    outcome = _solve_node(plan, table, steps)
    return outcome if isinstance(outcome, Refusal) else SolvedPlan(tuple(steps))


def _solve_node(node: PlanNode, table: FactTable, steps: list[SolvedStep]) -> Outcome | str:
    if node.is_named:
        steps.append(SolvedStep(node, node.value))
        return node.value
    values = []
    for given in node.inputs:
        value = _solve_node(given, table, steps)
        if isinstance(value, Refusal):
            return value
        values.append(value)
    outcome = node.step_kind.find(table, *values)
    if isinstance(outcome, Refusal):
        return outcome
    steps.append(SolvedStep(node, outcome.value, outcome.facts, outcome.as_of))
    return outcome.value


# --- as records -----------------------------------------------------------------------


def list_places(plan: PlanNode) -> tuple[tuple[PlanNode, tuple[int, ...]], ...]:
    """The nodes in the order of ``PlanNode.walk`` with the places of their inputs in it."""
    placed: list[tuple[PlanNode, tuple[int, ...]]] = []
    _place_node(plan, placed)
    return tuple(placed)


def _place_node(node: PlanNode, placed: list[tuple[PlanNode, tuple[int, ...]]]) -> int:
    places = tuple(_place_node(given, placed) for given in node.inputs)
    placed.append((node, places))
    return len(placed) - 1


def restore_plan(steps: Sequence[QuestionStep]) -> PlanNode:
    """The plan of a question's steps. Raises ValueError where there are none."""
    if not steps:
        raise ValueError("a plan has at least one step")
    nodes: list[PlanNode] = []
    for step in steps:
        if step.kind == NAMED:
            nodes.append(PlanNode(NAMED, value=step.value))
        else:
            nodes.append(PlanNode(step.kind, tuple(nodes[place] for place in step.inputs)))
    return nodes[-1]
