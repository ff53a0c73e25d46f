"""Drafts questions: proposes plans of every shape, solves, words and verifies them.

The stage chooses from the accepted candidates. What a unit of work gives depends only on the facts,
the configuration and the run's seed, so it does not matter which worker drafts it. A rejected draft
is recorded with every reason for which it failed; of plans that have no single value, the most, the
reasons are counted.
"""

import functools
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from medr_ray.core.config import PipelineConfig, QuestionsConfig
from medr_ray.core.records import Chain, QuestionStep, Verification, content_id
from medr_ray.core.run import Directory, RunDirectory
from medr_ray.entities.artifacts import SEEDS
from medr_ray.graph.artifacts import CHAINS
from medr_ray.graph.facts.fact_table import FactTable
from medr_ray.knowledge.specialty import GENERAL, decide_specialty
from medr_ray.questions.checks.plan_verification import PlanVerifier
from medr_ray.questions.drafting.answer_names import list_answer_names
from medr_ray.questions.drafting.candidates import Candidate, RejectedDraft
from medr_ray.questions.plans import NAMED, SolvedPlan, SolvedStep, list_places, solve_plan
from medr_ray.questions.shapes import SHAPES, build_plan
from medr_ray.questions.steps import PREDICATES_READ, STEP_KINDS
from medr_ray.questions.steps.kinds import Refusal
from medr_ray.questions.wording.grammar import write_question
from medr_ray.questions.wording.mentions import Mentions

# Index sources that have the records of a source of facts as documents.
_SEARCHABLE_IN: Mapping[str, tuple[str, ...]] = {
    "hpo": ("hpo",),
    "orphanet": ("registries",),
    "drugs_at_fda": ("registries", "fda_approvals"),
    "orange_book": ("registries", "fda_approvals"),
    "drug_labels": ("registries", "fda_labels"),
    "clinical_trials": ("registries", "trials"),
    "livertox": ("registries", "livertox"),
    "pubmed": ("pubmed",),
}
# Examples of refused plans that are kept with their reasons, of each unit; all are counted.
_KEPT_REFUSALS = 20


@dataclass(frozen=True)
class DraftingUnit:
    """A shape and one of its chains: what a worker drafts at a time."""

    shape: str
    chain: tuple[str, ...]

    @property
    def part(self) -> str:
        """The name of the unit's part."""
        return f"{self.shape}-{content_id('chain', list(self.chain))[6:14]}.parquet"


def list_units(config: QuestionsConfig) -> list[DraftingUnit]:
    """The chains of the configured shapes whose length the configuration allows, in order."""
    return [
        DraftingUnit(shape, chain)
        for shape in config.shapes or SHAPES
        for chain in SHAPES[shape].chains
        if config.min_hops <= sum(STEP_KINDS[kind].hops for kind in chain) <= config.max_hops
        and all(source in config.sources for kind in chain for source in STEP_KINDS[kind].sources)
    ]


def find_searchable(index_sources: Iterable[str]) -> frozenset[str]:
    """The sources of facts whose records an index of these sources has as documents."""
    names = set(index_sources)
    return frozenset(
        source for source, indexed in _SEARCHABLE_IN.items() if not names.isdisjoint(indexed)
    )


@dataclass(frozen=True)
class SeedChains:
    """The seeds of the run: their chains and specialties by entity id."""

    chains: Mapping[str, Chain]
    specialties: Mapping[str, str]

    @classmethod
    def read(cls, run: RunDirectory) -> "SeedChains":
        """The seeds and chains of a run."""
        seeds = run.read(SEEDS)
        return cls(
            {chain.seed: chain for chain in run.read(CHAINS)},
            {
                seed.frequency.concept_id: seed.specialty
                for seed in seeds
                if seed.significance.verdict
            },
        )


class Drafter:
    """Drafts the units of one run."""

    def __init__(self, table: FactTable, seeds: SeedChains, config: PipelineConfig) -> None:
        self._table = table
        self._seeds = seeds
        self._config = config.questions
        self._run_seed = config.run.seed
        self._mentions = Mentions(table, config.questions.language)
        searchable = find_searchable(source.source for source in config.index.sources)
        self._verifier = PlanVerifier(table, self._mentions, config.questions.language, searchable)
        self._decide_specialty = functools.lru_cache(maxsize=100_000)(self._compute_specialty)

    @classmethod
    def open(cls, run: RunDirectory, config: PipelineConfig) -> "Drafter":
        """A drafter over the facts of a run."""
        table = FactTable.read(run.stage("facts"), PREDICATES_READ)
        return cls(table, SeedChains.read(run), config)

    @property
    def table(self) -> FactTable:
        """The facts that are asked."""
        return self._table

    @property
    def verifier(self) -> PlanVerifier:
        """The checks of the drafts, for texts of other writers."""
        return self._verifier

    def draft_unit(
        self, unit: DraftingUnit
    ) -> tuple[list[Candidate], list[RejectedDraft], Counter[str]]:
        """(accepted candidates, rejected ones with reasons, how many failed by check)."""
        accepted: list[Candidate] = []
        rejected: list[RejectedDraft] = []
        reasons: Counter[str] = Counter()
        for inputs in self._order_proposals(unit):
            if len(accepted) >= self._config.drafts_per_chain:
                break
            plan = build_plan(unit.chain, inputs, self._table)
            solved = solve_plan(plan, self._table)
            if isinstance(solved, Refusal):
                reasons[solved.reason.partition(":")[0]] += 1
                if len(rejected) < _KEPT_REFUSALS:
                    key = content_id("plan", list(unit.chain), list(inputs))
                    rejected.append(RejectedDraft(key, unit.shape, "", (solved.reason,)))
                continue
            outcome = self._word_and_verify(unit, solved)
            if isinstance(outcome, Candidate):
                accepted.append(outcome)
            else:
                reasons.update({reason.partition(":")[0] for reason in outcome.reasons})
                rejected.append(outcome)
        return accepted, rejected, reasons

    def _order_proposals(self, unit: DraftingUnit) -> Iterator[tuple[str, ...]]:
        """The named inputs that a chain may begin with: those of seeds first, else in an order that
        the run's seed fixes."""
        proposals = STEP_KINDS[unit.chain[0]].propose(self._table)

        def order(inputs: tuple[str, ...]) -> tuple[bool, str]:
            is_seed = not self._seeds.specialties.keys().isdisjoint(inputs)
            text = "\x1f".join((str(self._run_seed), *unit.chain, *inputs))
            return not is_seed, hashlib.sha256(text.encode()).hexdigest()

        yield from sorted(proposals, key=order)

    def _word_and_verify(self, unit: DraftingUnit, solved: SolvedPlan) -> Candidate | RejectedDraft:
        values = [step.value for step in solved.steps if step.node.kind == NAMED]
        key = content_id("plan", list(unit.chain), values)
        try:
            as_of = solved.stated_date
        except ValueError as error:
            return RejectedDraft(key, unit.shape, "", (f"date: {error}",))
        # The form follows from the plan, so that the same plan has the same words in every run.
        form = int(key[-4:], 16)
        text = write_question(solved.plan, self._mentions, self._config.language, form, as_of)
        reasons = self._verifier.find_refusals(solved, text, as_of)
        if reasons:
            return RejectedDraft(key, unit.shape, text, tuple(reasons))
        return self._make_candidate(unit, solved, key, text)

    def _make_candidate(
        self, unit: DraftingUnit, solved: SolvedPlan, key: str, text: str
    ) -> Candidate:
        answer_names = list_answer_names(solved.answer, self._mentions, self._config.language)
        steps = self.record_steps(solved)
        seed, chain_id = self._find_seed(solved)
        return Candidate(
            key=key,
            shape=unit.shape,
            chain=unit.chain,
            text=text,
            steps=steps,
            hops=solved.plan.hops,
            sources=solved.plan.sources,
            answer=solved.answer,
            answer_names=answer_names,
            answer_type=solved.plan.step_kind.output,
            specialty=self._decide_plan_specialty(solved),
            seed=seed,
            chain_id=chain_id,
            verification=Verification(
                unique=True,
                no_leak=True,
                hops_needed=True,
                evidence=True,
                single_date=True,
                back_reading=True,
            ),
        )

    def record_steps(self, solved: SolvedPlan) -> tuple[QuestionStep, ...]:
        """The steps of a solved plan as a question keeps them."""
        places = list_places(solved.plan)
        records = []
        for step, (_, inputs) in zip(solved.steps, places, strict=True):
            value_type: str | None = self._table.type_of(step.value) if step.value else None
            if value_type is None and not step.node.is_named:
                value_type = step.node.step_kind.output
            records.append(
                QuestionStep(
                    kind=step.node.kind,
                    inputs=inputs,
                    value=step.value,
                    value_type=value_type or "value",
                    name=self._name_step(step),
                    facts=tuple(fact.fact_id for fact in step.facts),
                    as_of=step.as_of,
                )
            )
        return tuple(records)

    def _name_step(self, step: SolvedStep) -> str:
        return list_answer_names(step.value, self._mentions, self._config.language)[0]

    def _find_seed(self, solved: SolvedPlan) -> tuple[str, str]:
        """The seed that a plan leads over, with its chain where that has every entity of the plan;
        where there is none, the first entity that the question names."""
        entities = [
            step.value for step in solved.steps if self._table.type_of(step.value) is not None
        ]
        seeds = [entity for entity in entities if entity in self._seeds.specialties]
        if not seeds:
            return entities[0] if entities else solved.steps[0].value, ""
        chain = self._seeds.chains.get(seeds[0])
        is_on_chain = chain is not None and set(entities) <= set(chain.entities)
        return seeds[0], chain.chain_id if chain is not None and is_on_chain else ""

    # --- specialty --------------------------------------------------------------------

    def _decide_plan_specialty(self, solved: SolvedPlan) -> str:
        """The specialty of most diseases that a plan leads over, or that its trials and drugs were
        studied for; general medicine where there is none."""
        votes: Counter[str] = Counter()
        for step in solved.steps:
            votes.update(self._list_specialties(step.value))
        specific = [name for name in votes if name != GENERAL]
        return min(specific, key=lambda name: (-votes[name], name)) if specific else GENERAL

    def _list_specialties(self, value: str) -> Iterator[str]:
        value_type = self._table.type_of(value)
        if value_type == "disease":
            yield self._decide_specialty(value)
        trials = [value] if value_type == "trial" else []
        if value_type in ("drug", "substance"):
            trials = [fact.subject for fact in self._table.facts_to("studies_intervention", value)]
        for trial in trials:
            for condition in self._table.facts_of("studies_condition", trial):
                yield self._decide_specialty(condition.object)

    def _compute_specialty(self, disease: str) -> str:
        if disease in self._seeds.specialties:
            return self._seeds.specialties[disease]
        names = self._table.names_of(disease)
        return decide_specialty(names[0]) if names else GENERAL


class DraftingWorker:
    """A Ray actor of the questions stage.

    Each call drafts a unit and writes two parts, for the rejected and the accepted candidates. The
    facts are read once per actor.
    """

    def __init__(
        self,
        config: PipelineConfig,
        run: RunDirectory,
        directory: Directory,
        accepted_folder: str,
        rejected_folder: str,
    ) -> None:
        self._directory = directory
        self._accepted_folder = accepted_folder
        self._rejected_folder = rejected_folder
        self._drafter = Drafter.open(run, config)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Draft the unit of ``row`` and write its parts. Returns the counts."""
        unit = DraftingUnit(row["shape"], tuple(row["chain"]))
        accepted, rejected, reasons = self._drafter.draft_unit(unit)
        self._directory.write_records(
            f"{self._rejected_folder}/{unit.part}", RejectedDraft, rejected
        )
        self._directory.write_json(
            f"{self._rejected_folder}/{unit.part}.reasons.json", dict(sorted(reasons.items()))
        )
        # Write the accepted part last: a resumed run treats its presence as proof that the unit is
        # complete.
        self._directory.write_records(f"{self._accepted_folder}/{unit.part}", Candidate, accepted)
        return {"accepted": len(accepted), "rejected": sum(reasons.values())}
