"""Everything a seed's chain and graph can be asked, by paradigm.

``multi_hop`` walks to an entity (``lookup`` when one step does it, ``causal`` when the last
relation is one of cause and effect); ``intersection`` walks from both sides of the chain, or from
two starts, to where they meet; ``temporal`` and ``comparative`` ask which of several ends comes
first by onset or by the share of a finding; ``quantitative`` asks for a share. Walks are pieces of
the chain, short branches around the seed, and walks grown over it (``growing``). Every candidate is
told at one obfuscation level, with what must be added for its hops to be unambiguous.
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
from medr_ray.questions.drafting.obfuscation import compared, compares, describes, with_fields
from medr_ray.questions.drafting.question_paths import (
    Path,
    branch_walks,
    chain_walks,
    meeting_walks,
)
from medr_ray.questions.drafting.question_patterns import CHOICES, stated, winners
from medr_ray.questions.drafting.walks import Grower

_CAUSAL = frozenset({"induced_by", "sign_induced_by", "complicated_by"})
_GROUP = range(2, 9)  # ends that can be compared: fewer is no choice, more is a table
_KEPT = 8  # walks of one complexity per seed: they are cheap to grow, dear to verify, and few are chosen
_SHARES = (
    2  # findings asked for per walk, so that one disease with many does not crowd out the rest
)


@dataclass(frozen=True)
class Tellers:
    """What can be told of entities, exactly and as comparisons."""

    exact: Disambiguator
    compared: Disambiguator

    def at(self, level: int) -> Disambiguator:
        """The one an obfuscation level speaks with."""
        return self.compared if compares(level) else self.exact


def paradigm_of(path: Path) -> Paradigm:
    """The paradigm a path belongs to."""
    if path.second:
        return "intersection"
    if path.asked != "entity":
        return {"share": "quantitative", "earliest": "temporal", "latest": "temporal"}.get(  # type: ignore[return-value]
            path.asked, "comparative"
        )
    if path.hops[-1].predicate in _CAUSAL:
        return "causal"
    return "lookup" if len(path.hops) == 1 else "multi_hop"


@dataclass(frozen=True)
class Source:
    """What the candidates of one seed are made from; ``graph`` is the seed's own part of all
    ``relations``, and the run's seed draws what is not decided by them."""

    seed: str
    chain: Chain | None
    graph: Sequence[Relation]
    relations: Mapping[str, Relation]
    run_seed: int = 0


class Candidates:
    """Makes candidates, each walk at every level of obfuscation that the configuration gives a
    weight."""

    def __init__(
        self, facts: FactIndex, tellers: Tellers, grower: Grower, config: QuestionsConfig
    ) -> None:
        self._facts, self._tellers, self._grower = facts, tellers, grower
        self._lengths, self._tries = range(config.min_hops, config.max_hops + 1), config.tries
        self._paradigms, self._avoid = frozenset(config.paradigms), frozenset(config.avoid)
        self._levels = [level for level, weight in sorted(config.obfuscation.items()) if weight > 0]

    def of(self, source: Source) -> list[tuple[Path, int]]:
        """Every candidate of a seed with its obfuscation level, chain pieces first, each walk once
        a level."""
        found: dict[tuple[str, int], tuple[Path, int]] = {}
        for path, level in self._all(source):
            if (
                path.complexity in self._lengths
                and paradigm_of(path) in self._paradigms
                and self._avoid.isdisjoint(path.directed_predicates)
            ):
                found.setdefault((path.key, level), (path, level))
        return list(found.values())

    def _grown(self, source: Source) -> Iterator[tuple[Path, int]]:
        """Walks over the seed that are grown hop by hop, told exactly and as comparisons where
        levels do."""
        kinds = sorted({compares(level) for level in self._levels})
        for compare in kinds:
            same = [level for level in self._levels if compares(level) == compare]
            dice = make_rng(source.run_seed, f"{source.seed} {compare}")
            walks = self._walks(
                source.seed, self._tellers.at(same[0]), compare, self._tries // len(kinds), dice
            )
            for path, level in itertools.product(walks, same):
                disguised = _disguised(path, level)
                yield from ((one, level) for one in (disguised, *self._shares(disguised)))

    def _walks(
        self, seed: str, teller: Disambiguator, compare: bool, tries: int, dice: random.Random
    ) -> Iterator[Path]:
        """The walks that ``tries`` give and those that meet, of each complexity the first
        ``_KEPT``."""
        kept: Counter[tuple[int, bool]] = Counter()
        most, meet = self._lengths.stop - 1, "intersection" in self._paradigms
        for hops in self._grower.grow(seed, teller, compare, most, tries, dice):
            paths = [Path(seed, "", hops, False)]
            if (
                meet
                and len(hops) + 2 <= most
                and min(kept[len(hops) + 2, True], kept[len(hops) + 3, True]) < _KEPT
            ):
                paths += [
                    Path(seed, "", first, False, second)
                    for first, second in self._grower.meetings(hops, teller, compare, dice)
                ]
            for path in paths:
                kept[path.complexity, bool(path.second)] += 1
                if kept[path.complexity, bool(path.second)] <= _KEPT:
                    yield path

    def _all(self, source: Source) -> Iterator[tuple[Path, int]]:
        chain_id = source.chain.chain_id if source.chain is not None else ""
        shorter = range(1, self._lengths.stop)
        if source.chain is not None and source.seed in source.chain.entities:
            for hops in chain_walks(source.chain, source.seed, source.relations, shorter):
                yield from self._told(Path(source.seed, chain_id, hops, True), True)
            if "intersection" in self._paradigms:
                for hops, second in meeting_walks(
                    source.chain, source.seed, source.relations, self._lengths
                ):
                    yield from self._told(Path(source.seed, chain_id, hops, True, second), False)
        yield from self._grown(source)
        for hops in branch_walks(source.seed, source.graph, shorter):
            yield from self._told(Path(source.seed, chain_id, hops, False), True)

    def _told(self, path: Path, more: bool) -> Iterator[tuple[Path, int]]:
        """The path with what must be told, and with ``more`` what else can be asked along it, at
        every level."""
        for level in self._levels:
            told = self._at(path, level)
            if told is not None:
                yield from (
                    (one, level) for one in self._asked(told, self._tellers.at(level), more)
                )

    def _asked(self, told: Path, teller: Disambiguator, more: bool) -> Iterator[Path]:
        if told.second:
            yield replace(
                told,
                hops=teller.disambiguate_walk(told.hops, told.entities, spare_last=True),
                second=teller.disambiguate_walk(told.second, told.entities, spare_last=True),
            )
            return
        determined = replace(told, hops=teller.disambiguate_walk(told.hops, told.entities))
        yield determined
        if more:
            yield from self._shares(determined)
            yield from self._choices(told, teller)

    def _at(self, path: Path, level: int) -> Path | None:
        hops, second = path.hops, path.second
        if compares(level):
            if not any(hop.clinical for hop in (*hops, *second)):
                return None
            told = compared(hops), compared(second)
            if told[0] is None or told[1] is None:
                return None
            hops, second = told[0], told[1]
        path = _disguised(replace(path, hops=hops, second=second), level)
        return replace(
            path,
            hops=mark_other_hops(path.hops, self._facts),
            second=mark_other_hops(path.second, self._facts),
        )

    def _shares(self, path: Path) -> Iterator[Path]:
        """The shares of findings in the disease that the path leads to."""
        if (
            "quantitative" not in self._paradigms
            or path.second
            or path.hops[-1].target_type != DISEASE
        ):
            return
        named = {*path.entities, *(clause.other for clause in path.clauses)}
        asked = [
            one
            for one in self._tellers.exact.clauses_about(path.answer)
            if one.predicate == "has_finding" and one.forward and one.other not in named
        ]
        for clause in sorted(asked, key=lambda one: one.relation_id)[:_SHARES]:
            yield replace(path, asked="share", about=(clause,))

    def _choices(self, path: Path, teller: Disambiguator) -> Iterator[Path]:
        """Which of all the ends of the last hop comes first, where the path leads to that one."""
        last = path.hops[-1]
        if last.target_type != DISEASE or self._paradigms.isdisjoint({"temporal", "comparative"}):
            return
        if is_report(last.clinical):  # of all that one report names, the first: a choice of one
            return
        before = path.hops[-2].known if len(path.hops) > 1 else ""
        ends = last.possible_targets(last.known, before, self._facts)
        if len(ends) not in _GROUP:
            return
        steps = teller.disambiguate_walk(path.hops, path.entities, spare_last=True)
        for asked in CHOICES:
            for about in self._compared_facts(asked, path.answer):
                choice = replace(path, hops=steps, asked=asked, about=about)
                known = stated(choice, ends, self._facts)
                if len(known) > 1 and winners(choice, ends, self._facts) == {path.answer}:
                    rest = self._evidence(choice, known - {path.answer})
                    if rest is not None:
                        yield replace(choice, about=(*about, *rest))

    def _compared_facts(self, asked: str, winner: str) -> Iterator[tuple[Clause, ...]]:
        wanted = "has_onset" if asked in ("earliest", "latest") else "has_finding"
        for clause in self._tellers.exact.clauses_about(winner):
            if clause.predicate == wanted and clause.forward:
                yield (clause,)

    def _evidence(self, choice: Path, others: set[str]) -> tuple[Clause, ...] | None:
        """The facts of the graph that say the same of the others; None when one is not in the
        graph."""
        first, found = choice.about[0], []
        for entity in sorted(others):
            same = [
                one
                for one in self._tellers.exact.clauses_about(entity)
                if one.predicate == first.predicate
                and one.forward
                and (first.predicate == "has_onset" or one.other == first.other)
            ]
            if not same:
                return None
            found.append(min(same, key=lambda one: one.relation_id))
        return tuple(found)


def _disguised(path: Path, level: int) -> Path:
    """The path with its journals told as fields where the level describes."""
    return (
        replace(path, hops=with_fields(path.hops), second=with_fields(path.second))
        if describes(level)
        else path
    )
