"""Plans every question that can be asked about a seed's chain and graph, by paradigm.

- ``multi_hop`` walks to an entity. It is ``lookup`` when the walk has one hop, and ``causal`` when
  the last relation is one of cause and effect.
- ``intersection`` walks from both sides of the chain, or from two starts, to where they meet.
- ``temporal`` and ``comparative`` ask which of several ends comes first by onset or by the share
  of a finding.
- ``quantitative`` asks for a share.

Walks are pieces of the chain, short branches around the seed, and walks grown over it (``walks``).
Every candidate has one obfuscation level, and the clauses that make its hops unambiguous.
"""

import itertools
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from medr_ray.core.config import QuestionsConfig
from medr_ray.core.records import Chain, Paradigm, Relation
from medr_ray.graph.expansion import make_rng
from medr_ray.graph.facts.disambiguation import Disambiguator
from medr_ray.graph.facts.fact_index import Clause, FactIndex
from medr_ray.graph.facts.hops import mark_other_hops
from medr_ray.knowledge.predicates import DISEASE
from medr_ray.knowledge.published_reports import is_report
from medr_ray.questions.drafting.obfuscation import (
    is_comparing_level,
    is_describing_level,
    replace_journals_with_fields,
    word_hops_as_comparisons,
)
from medr_ray.questions.drafting.question_paths import (
    QuestionPath,
    list_branch_walks,
    list_chain_walks,
    list_meeting_walks,
)
from medr_ray.questions.drafting.question_patterns import (
    CHOICE_CRITERIA,
    find_winners,
    select_comparable_ends,
)
from medr_ray.questions.drafting.walks import WalkGrower

_CAUSAL_PREDICATES = frozenset({"induced_by", "sign_induced_by", "complicated_by"})
# How many ends can be compared: one is not a choice, and more than eight are a table.
_COMPARABLE_ENDS = range(2, 9)
# Walks of one complexity per seed: they are cheap to grow but expensive to verify, and few are
# chosen.
_MAX_WALKS_PER_COMPLEXITY = 8
# Findings asked for per walk, so that a disease with many findings does not crowd out the rest.
_MAX_SHARES_PER_WALK = 2


@dataclass(frozen=True)
class LevelDisambiguators:
    """The disambiguators that word shares exactly and as comparisons."""

    exact: Disambiguator
    comparing: Disambiguator

    def for_level(self, level: int) -> Disambiguator:
        """The disambiguator for an obfuscation level."""
        return self.comparing if is_comparing_level(level) else self.exact


def classify_paradigm(path: QuestionPath) -> Paradigm:
    """The paradigm a path belongs to."""
    # The order matters: a path with a second walk is an intersection whatever its predicates are.
    if path.second:
        return "intersection"
    if path.asked == "share":
        return "quantitative"
    if path.asked in ("earliest", "latest"):
        return "temporal"
    if path.asked in ("largest", "smallest"):
        return "comparative"
    if path.hops[-1].predicate in _CAUSAL_PREDICATES:
        return "causal"
    return "lookup" if len(path.hops) == 1 else "multi_hop"


@dataclass(frozen=True)
class SeedInput:
    """The input for the candidates of one seed.

    ``graph`` is the seed's own part of all ``relations``. ``run_seed`` seeds the random generator
    that draws which walks are grown.
    """

    seed: str
    chain: Chain | None
    graph: Sequence[Relation]
    relations: Mapping[str, Relation]
    run_seed: int = 0


class CandidatePlanner:
    """Plans candidates: each walk at every obfuscation level with a positive weight in the
    configuration."""

    def __init__(
        self,
        facts: FactIndex,
        disambiguators: LevelDisambiguators,
        walk_grower: WalkGrower,
        config: QuestionsConfig,
    ) -> None:
        self._facts = facts
        self._disambiguators = disambiguators
        self._walk_grower = walk_grower
        self._complexities = range(config.min_hops, config.max_hops + 1)
        self._tries = config.tries
        self._paradigms = frozenset(config.paradigms)
        self._avoided_predicates = frozenset(config.avoid)
        # Only levels with a weight: the others are never chosen.
        self._levels = [level for level, weight in sorted(config.obfuscation.items()) if weight > 0]

    def plan_paths(self, seed_input: SeedInput) -> list[tuple[QuestionPath, int]]:
        """Every candidate of a seed with its obfuscation level, chain pieces first. Each walk
        occurs once per level."""
        candidates: dict[tuple[str, int], tuple[QuestionPath, int]] = {}
        for path, level in self._list_all_paths(seed_input):
            if (
                path.complexity in self._complexities
                and classify_paradigm(path) in self._paradigms
                and self._avoided_predicates.isdisjoint(path.directed_predicates)
            ):
                # The first one stays, so that a piece of the chain is not replaced by a branch
                # over the same relations.
                candidates.setdefault((path.key, level), (path, level))
        return list(candidates.values())

    def _grow_paths(self, seed_input: SeedInput) -> Iterator[tuple[QuestionPath, int]]:
        """Walks over the seed that are grown hop by hop, exactly or with comparisons as the levels
        need it."""
        # Levels with the same wording of shares use the same walks: growing is done once for each
        # wording, and the tries are divided between them.
        wordings = sorted({is_comparing_level(level) for level in self._levels})
        for compare in wordings:
            levels = [level for level in self._levels if is_comparing_level(level) == compare]
            rng = make_rng(seed_input.run_seed, f"{seed_input.seed} {compare}")
            walks = self._grow_walks(
                seed_input.seed,
                self._disambiguators.for_level(levels[0]),
                compare,
                self._tries // len(wordings),
                rng,
            )
            for path, level in itertools.product(walks, levels):
                disguised = _disguise_journals(path, level)
                yield from (
                    (question_path, level)
                    for question_path in (disguised, *self._ask_shares(disguised))
                )

    def _grow_walks(
        self, seed: str, disambiguator: Disambiguator, compare: bool, tries: int, rng: random.Random
    ) -> Iterator[QuestionPath]:
        """The walks that ``tries`` hops give, and those that meet. Of each complexity the first
        ``_MAX_WALKS_PER_COMPLEXITY``."""
        kept: Counter[tuple[int, bool]] = Counter()
        max_hops = self._complexities.stop - 1
        can_meet = "intersection" in self._paradigms
        for hops in self._walk_grower.grow(seed, disambiguator, compare, max_hops, tries, rng):
            paths = [QuestionPath(seed, "", hops, False)]
            # A meeting adds one hop to this walk and a second walk of one or two hops, so it has
            # two or three hops more. Meetings are searched only while one of these is still short.
            fewest_kept = min(kept[len(hops) + 2, True], kept[len(hops) + 3, True])
            is_meeting_missing = fewest_kept < _MAX_WALKS_PER_COMPLEXITY
            if can_meet and len(hops) + 2 <= max_hops and is_meeting_missing:
                paths += [
                    QuestionPath(seed, "", first, False, second)
                    for first, second in self._walk_grower.find_meeting_walks(
                        hops, disambiguator, compare, rng
                    )
                ]
            for path in paths:
                kept[path.complexity, bool(path.second)] += 1
                if kept[path.complexity, bool(path.second)] <= _MAX_WALKS_PER_COMPLEXITY:
                    yield path

    def _list_all_paths(self, seed_input: SeedInput) -> Iterator[tuple[QuestionPath, int]]:
        """Every path at every level, before the configuration's filters."""
        chain_id = seed_input.chain.chain_id if seed_input.chain is not None else ""
        # From one hop on, whatever the minimum: asking for a share or a choice adds to the
        # complexity of a short walk.
        lengths = range(1, self._complexities.stop)
        if seed_input.chain is not None and seed_input.seed in seed_input.chain.entities:
            for hops in list_chain_walks(
                seed_input.chain, seed_input.seed, seed_input.relations, lengths
            ):
                yield from self._word_path(
                    QuestionPath(seed_input.seed, chain_id, hops, True), True
                )
            if "intersection" in self._paradigms:
                for hops, second in list_meeting_walks(
                    seed_input.chain, seed_input.seed, seed_input.relations, self._complexities
                ):
                    yield from self._word_path(
                        QuestionPath(seed_input.seed, chain_id, hops, True, second), False
                    )
        yield from self._grow_paths(seed_input)
        for hops in list_branch_walks(seed_input.seed, seed_input.graph, lengths):
            yield from self._word_path(QuestionPath(seed_input.seed, chain_id, hops, False), True)

    def _word_path(
        self, path: QuestionPath, with_variants: bool
    ) -> Iterator[tuple[QuestionPath, int]]:
        """The path with its clauses at every level.

        With ``with_variants`` also the paths that ask for shares and choices along it.
        """
        for level in self._levels:
            leveled = self._apply_level(path, level)
            if leveled is not None:
                yield from (
                    (question_path, level)
                    for question_path in self._ask_along(
                        leveled, self._disambiguators.for_level(level), with_variants
                    )
                )

    def _ask_along(
        self, path: QuestionPath, disambiguator: Disambiguator, with_variants: bool
    ) -> Iterator[QuestionPath]:
        # The last hop of two walks that meet may stay ambiguous: the other walk decides.
        if path.second:
            yield replace(
                path,
                hops=disambiguator.disambiguate_walk(path.hops, path.entities, spare_last=True),
                second=disambiguator.disambiguate_walk(path.second, path.entities, spare_last=True),
            )
            return
        determined = replace(path, hops=disambiguator.disambiguate_walk(path.hops, path.entities))
        yield determined
        if with_variants:
            yield from self._ask_shares(determined)
            # Not the determined path: a choice needs a last hop that fits several ends.
            yield from self._ask_choices(path, disambiguator)

    def _apply_level(self, path: QuestionPath, level: int) -> QuestionPath | None:
        """The path as an obfuscation level words it; None when the level has nothing to hide in it
        or cannot hide it."""
        hops = path.hops
        second = path.second
        if is_comparing_level(level):
            # Without a qualifier to compare, the path would read as it does at a lower level.
            if not any(hop.clinical for hop in (*hops, *second)):
                return None
            compared_hops = word_hops_as_comparisons(hops)
            compared_second = word_hops_as_comparisons(second)
            if compared_hops is None or compared_second is None:
                return None
            hops = compared_hops
            second = compared_second
        path = _disguise_journals(replace(path, hops=hops, second=second), level)
        # After the wording, because a comparison may fit the entity before where the exact
        # qualifier does not.
        return replace(
            path,
            hops=mark_other_hops(path.hops, self._facts),
            second=mark_other_hops(path.second, self._facts),
        )

    def _ask_shares(self, path: QuestionPath) -> Iterator[QuestionPath]:
        """The path with the question for the share of a finding in the disease it leads to."""
        if (
            "quantitative" not in self._paradigms
            or path.second
            or path.hops[-1].target_type != DISEASE
        ):
            return
        named = {*path.entities, *(clause.other for clause in path.clauses)}
        # A finding that the question names already is not asked for.
        findings = [
            clause
            for clause in self._disambiguators.exact.clauses_about(path.answer)
            if clause.predicate == "has_finding" and clause.forward and clause.other not in named
        ]
        # By id, so that the choice among many findings is the same in every run.
        findings.sort(key=lambda finding: finding.relation_id)
        for clause in findings[:_MAX_SHARES_PER_WALK]:
            yield replace(path, asked="share", about=(clause,))

    def _ask_choices(
        self, path: QuestionPath, disambiguator: Disambiguator
    ) -> Iterator[QuestionPath]:
        """The path with the question which of all ends of its last hop comes first, where the path
        leads to that end."""
        last = path.hops[-1]
        if last.target_type != DISEASE or self._paradigms.isdisjoint({"temporal", "comparative"}):
            return
        # "Of all that this report names, the first" would be a choice of one.
        if is_report(last.clinical):
            return
        before = path.hops[-2].start if len(path.hops) > 1 else ""
        ends = last.possible_targets(last.start, before, self._facts)
        if len(ends) not in _COMPARABLE_ENDS:
            return
        hops = disambiguator.disambiguate_walk(path.hops, path.entities, spare_last=True)
        for criterion in CHOICE_CRITERIA:
            for about in self._list_compared_facts(criterion, path.answer):
                choice = replace(path, hops=hops, asked=criterion, about=about)
                comparable_ends = select_comparable_ends(choice, ends, self._facts)
                if len(comparable_ends) < 2:
                    continue
                if find_winners(choice, ends, self._facts) != {path.answer}:
                    continue
                other_facts = self._find_evidence(choice, comparable_ends - {path.answer})
                if other_facts is not None:
                    yield replace(choice, about=(*about, *other_facts))

    def _list_compared_facts(self, criterion: str, winner: str) -> Iterator[tuple[Clause, ...]]:
        """The facts about the winner that a choice can be made by: onsets or findings."""
        predicate = "has_onset" if criterion in ("earliest", "latest") else "has_finding"
        for clause in self._disambiguators.exact.clauses_about(winner):
            if clause.predicate == predicate and clause.forward:
                yield (clause,)

    def _find_evidence(self, choice: QuestionPath, others: set[str]) -> tuple[Clause, ...] | None:
        """The facts of the graph by which the others are compared; None when one of them is not in
        the graph."""
        first = choice.about[0]
        evidence = []
        for entity in sorted(others):
            # Onsets differ in the object, which is the age; findings are compared by the share of
            # the same object.
            comparable = [
                clause
                for clause in self._disambiguators.exact.clauses_about(entity)
                if clause.predicate == first.predicate
                and clause.forward
                and (first.predicate == "has_onset" or clause.other == first.other)
            ]
            if not comparable:
                return None
            # The smallest id, so that the choice among several facts is the same in every run.
            evidence.append(min(comparable, key=lambda clause: clause.relation_id))
        return tuple(evidence)


def _disguise_journals(path: QuestionPath, level: int) -> QuestionPath:
    """The path with journals named by their fields where the level describes the start."""
    return (
        replace(
            path,
            hops=replace_journals_with_fields(path.hops),
            second=replace_journals_with_fields(path.second),
        )
        if is_describing_level(level)
        else path
    )
