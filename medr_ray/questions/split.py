"""Chooses which accepted candidates become questions, and on which side of the split.

Seeds are split first, by a seeded hash. Held-out questions are chosen before train questions. A
candidate that shares a relation, a seed, or a disease, gene or drug of its path with a held-out
question may not train.

Within a side, no final predicate, no answer and no number of hops takes more than its share of the
questions. Below these caps, hop counts are evened out and obfuscation levels are taken by their
weights, as far as the candidates allow. A question that would repeat a chosen one, on either side,
is passed over. All choices depend only on ids and the run's seed.
"""

import functools
import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from medr_ray.core.config import QuestionsConfig
from medr_ray.core.records import Entity
from medr_ray.knowledge.predicates import VALUE
from medr_ray.questions.checks.duplicates import (
    ComparedQuestion,
    DuplicateFilter,
    chain_fingerprint,
)
from medr_ray.questions.checks.question_verification import VerificationResult
from medr_ray.questions.drafting.question_paths import QuestionPath
from medr_ray.questions.wording.writers import Draft


# The fields are columns of the parts that drafting writes: they keep their names.
@dataclass(frozen=True)
class Candidate:
    """A worded draft with its verdict."""

    draft: Draft
    text: str
    verdict: VerificationResult

    @property
    def path(self) -> QuestionPath:
        return self.draft.path


@dataclass(frozen=True)
class QuestionSplit:
    """The questions of both sides, and what was not chosen.

    ``overlapping`` counts the train candidates that were dropped for what they share with held-out
    questions. ``repeats`` are the candidates that repeat a chosen one, with the reason.
    ``eligible`` are all candidates that could have been chosen.
    """

    train: tuple[Candidate, ...]
    heldout: tuple[Candidate, ...]
    overlapping_count: int
    repeats: tuple[tuple[Candidate, str], ...] = ()
    eligible: tuple[Candidate, ...] = ()


def hash_sort_key(run_seed: int, *parts: str) -> str:
    """A sort key that gives a fixed pseudo-random order.

    A hash and not a random generator: the order of some ids does not change when others are added.
    """
    # The separator occurs in no id, so that ("a", "bc") and ("ab", "c") differ.
    return hashlib.sha256("\x1f".join((str(run_seed), *parts)).encode()).hexdigest()


def split_seeds(seeds: Iterable[str], fraction: float, run_seed: int) -> tuple[set[str], set[str]]:
    """(train, held-out) seeds; ``fraction`` of them, rounded to the nearest, are held out."""
    ordered = sorted(set(seeds), key=lambda seed: hash_sort_key(run_seed, "split", seed))
    heldout_count = round(fraction * len(ordered))
    return set(ordered[heldout_count:]), set(ordered[:heldout_count])


@dataclass(frozen=True)
class HeldoutContent:
    """What held-out questions are made of.

    ``seeds`` are all held-out seeds, also those without a chosen question. ``leading_entities``
    lead to the answers, and ``path_entities`` are these together with the answers. Neither contains
    values such as a mode of inheritance, which many questions share.
    """

    seeds: frozenset[str]
    relations: frozenset[str]
    leading_entities: frozenset[str]
    path_entities: frozenset[str]

    def overlaps_path(self, path: QuestionPath, entities: Mapping[str, Entity]) -> bool:
        """Whether training on ``path`` would show more of a held-out question than a common
        answer."""
        # Two questions may have the same answer: only an answer that leads on in the other
        # question counts as overlap.
        return bool(
            self.seeds & set(path.entities)
            or self.relations & set(path.relations)
            or self.path_entities & _select_leading_entities(path, entities)
            or path.answer in self.leading_entities
        )


def _select_leading_entities(path: QuestionPath, entities: Mapping[str, Entity]) -> set[str]:
    """The entities of the path before its answer, without values."""
    return {
        entity_id
        for entity_id in path.entities
        if entity_id != path.answer and entities[entity_id].entity_type != VALUE
    }


def collect_heldout_content(
    heldout: Sequence[Candidate], seeds: set[str], entities: Mapping[str, Entity]
) -> HeldoutContent:
    """The content of the chosen held-out questions and of all held-out seeds."""
    leading_entities = {
        entity_id
        for candidate in heldout
        for entity_id in _select_leading_entities(candidate.path, entities)
    }
    answers = {
        candidate.path.answer
        for candidate in heldout
        if entities[candidate.path.answer].entity_type != VALUE
    }
    relations = {relation_id for candidate in heldout for relation_id in candidate.path.relations}
    return HeldoutContent(
        frozenset(seeds),
        frozenset(relations),
        frozenset(leading_entities),
        frozenset(leading_entities | answers),
    )


@dataclass(frozen=True)
class _Caps:
    """Upper bounds for the questions with the same answer criterion (the final predicate, or what
    is compared), with the same answer, and with the same number of hops."""

    predicate: int
    answer: int
    hops: int


class _CappedPicker:
    """One pass of choosing under fixed caps."""

    def __init__(
        self,
        candidates: Mapping[str, Sequence[Candidate]],
        caps: _Caps,
        limit: int,
        earlier: Iterable[Candidate],
        weights: Mapping[int, float],
    ) -> None:
        self._candidates_by_seed = candidates
        self._caps = caps
        self._limit = limit
        self._level_weights = weights
        self.picked: list[Candidate] = []
        self.repeats: dict[str, tuple[Candidate, str]] = {}
        self._duplicates = DuplicateFilter()
        for candidate in earlier:
            self._duplicates.add(to_compared_question(candidate))
        self._level_counts: Counter[int] = Counter()
        self._hop_counts: Counter[int] = Counter()
        self._predicate_counts: Counter[str] = Counter()
        self._answer_counts: Counter[str] = Counter()
        self._picked_keys: set[str] = set()
        # (seed, final relation): the questions of a seed ask for different facts.
        self._picked_facts: set[tuple[str, str]] = set()

    def pick_per_seed(self, per_seed: int) -> list[Candidate]:
        """Pick at most ``per_seed`` candidates of each seed."""
        # One candidate of each seed per round, so that the limit is spread over the seeds.
        for _ in range(per_seed):
            for seed, candidates in self._candidates_by_seed.items():
                if len(self.picked) >= self._limit:
                    return self.picked
                # Sorted anew for every pick, because each pick changes the counts in the order.
                open_candidates = (
                    candidate for candidate in candidates if self._is_admissible(seed, candidate)
                )
                chosen = next(
                    filter(self._is_new, sorted(open_candidates, key=self._sort_key)), None
                )
                if chosen is not None:
                    self._pick_candidate(seed, chosen)
        return self.picked

    def _is_new(self, candidate: Candidate) -> bool:
        """Whether the candidate repeats no chosen one. A new candidate enters the filter here, so
        the caller has to pick it."""
        repeated = self._duplicates.add(to_compared_question(candidate))
        if repeated is not None:
            self.repeats[candidate.path.key] = (candidate, repeated.reason)
        return repeated is None

    def _is_admissible(self, seed: str, candidate: Candidate) -> bool:
        last = candidate.path.hops[-1]
        return (
            candidate.path.key not in self._picked_keys
            and candidate.path.key not in self.repeats
            and (seed, last.relation_id) not in self._picked_facts
            and self._predicate_counts[candidate.path.answer_criterion] < self._caps.predicate
            and self._answer_counts[candidate.path.answer] < self._caps.answer
            and self._hop_counts[candidate.path.complexity] < self._caps.hops
        )

    def _sort_key(self, candidate: Candidate) -> tuple[int, float, int, int, bool, str]:
        """The rarest kinds first: number of hops, obfuscation level, final predicate, answer."""
        path = candidate.path
        level = candidate.draft.obfuscation
        return (
            self._hop_counts[path.complexity],
            self._level_counts[level] / self._level_weights[level],
            self._predicate_counts[path.answer_criterion],
            self._answer_counts[path.answer],
            not path.on_chain,
            path.key,  # a fixed order where all else is equal
        )

    def _pick_candidate(self, seed: str, candidate: Candidate) -> None:
        last = candidate.path.hops[-1]
        self.picked.append(candidate)
        self._picked_keys.add(candidate.path.key)
        self._picked_facts.add((seed, last.relation_id))
        self._hop_counts[candidate.path.complexity] += 1
        self._predicate_counts[candidate.path.answer_criterion] += 1
        self._answer_counts[candidate.path.answer] += 1
        self._level_counts[candidate.draft.obfuscation] += 1


# Cached, because passes are repeated and each of them adds the candidates to a new filter.
@functools.lru_cache(maxsize=100_000)
def to_compared_question(candidate: Candidate) -> ComparedQuestion:
    """What the duplicate filter compares: the candidate's key, graph, text, starts and answer."""
    path = candidate.path
    edges = []
    for hop in (*path.hops, *path.second):
        edges.append(_make_edge(hop.predicate, hop.forward, hop.start, hop.target))
        edges += [
            _make_edge(clause.predicate, clause.forward, hop.target, clause.other)
            for clause in hop.also
        ]
    edges += [
        _make_edge(clause.predicate, clause.forward, path.answer, clause.other)
        for clause in path.about
    ]
    # A dict and not a set: the nodes keep the order in which the edges name them.
    nodes = dict.fromkeys(end for subject, _, obj in edges for end in (subject, obj))
    # Where a share is asked, the answer is the share and not the entity that has it.
    answer = path.about[0].clinical if path.asked == "share" else path.answer
    return ComparedQuestion(
        path.key, chain_fingerprint(tuple(nodes), edges), candidate.text, path.starts, answer
    )


def _make_edge(predicate: str, forward: bool, source: str, target: str) -> tuple[str, str, str]:
    """The relation as the graph states it, whichever way the path follows it."""
    return (source, predicate, target) if forward else (target, predicate, source)


def pick_balanced(
    candidates: Sequence[Candidate],
    config: QuestionsConfig,
    run_seed: int,
    limit: int | None,
    earlier: Sequence[Candidate] = (),
) -> list[Candidate]:
    """Choose as many candidates as the caps allow, at most ``limit`` and at most ``per_seed`` of
    each seed. They repeat neither each other nor a candidate of ``earlier``."""
    return _repeat_passes(candidates, config, run_seed, limit, earlier).picked


def _repeat_passes(
    candidates: Sequence[Candidate],
    config: QuestionsConfig,
    run_seed: int,
    limit: int | None,
    earlier: Sequence[Candidate],
) -> _CappedPicker:
    """The first pass that picks as many candidates as its caps assume.

    The caps are shares of the size of the result, which is only known after a pass. So passes are
    repeated, each with the size of the last one, until the size no longer changes. Where there are
    too few final predicates, answers or hop counts for a share, the share is that of an even
    distribution.
    """
    by_seed: dict[str, list[Candidate]] = {}
    for candidate in sorted(
        candidates, key=lambda candidate: hash_sort_key(run_seed, "order", candidate.path.seed)
    ):
        by_seed.setdefault(candidate.path.seed, []).append(candidate)
    predicate_share = _raise_to_even_share(
        config.max_predicate_share, {candidate.path.answer_criterion for candidate in candidates}
    )
    answer_share = _raise_to_even_share(
        config.max_answer_share, {candidate.path.answer for candidate in candidates}
    )
    hop_share = _raise_to_even_share(
        config.max_hop_share, {candidate.path.complexity for candidate in candidates}
    )
    size = min(
        len(candidates),
        len(by_seed) * config.per_seed,
        limit if limit is not None else len(candidates),
    )
    while True:
        caps = _Caps(
            _count_share(predicate_share, size),
            _count_share(answer_share, size),
            _count_share(hop_share, size),
        )
        picker = _CappedPicker(by_seed, caps, size, earlier, config.obfuscation)
        if len(picker.pick_per_seed(config.per_seed)) == size:
            return picker
        # A pass never picks more than its limit, so the size shrinks and the loop ends.
        size = len(picker.picked)


def _raise_to_even_share(share: float, kinds: Set[object]) -> float:
    """The share, or that of an even distribution over ``kinds`` where this is larger."""
    return max(share, 1 / max(1, len(kinds)))


def _count_share(share: float, size: int) -> int:
    """How many of ``size`` questions a share is; at least one."""
    # The small addend makes up for rounding: 0.29 * 100 is a little less than 29.
    return max(1, math.floor(share * size + 1e-9))


def split_and_balance(
    accepted: Sequence[Candidate],
    entities: Mapping[str, Entity],
    config: QuestionsConfig,
    run_seed: int,
) -> QuestionSplit:
    """Choose both sides from the accepted candidates."""
    # Only seeds with an accepted candidate are split, so that the held-out share is one of these.
    _, heldout_seeds = split_seeds(
        (candidate.path.seed for candidate in accepted), config.heldout_fraction, run_seed
    )
    limit = config.max_questions
    heldout_limit = None if limit is None else round(limit * config.heldout_fraction)
    heldout_eligible = [candidate for candidate in accepted if candidate.path.seed in heldout_seeds]
    # Held-out first: what it picks decides which candidates may train.
    heldout = _repeat_passes(heldout_eligible, config, run_seed, heldout_limit, ())
    others = [candidate for candidate in accepted if candidate.path.seed not in heldout_seeds]
    content = collect_heldout_content(heldout.picked, heldout_seeds, entities)
    train_eligible = [
        candidate for candidate in others if not content.overlaps_path(candidate.path, entities)
    ]
    train_limit = None if limit is None or heldout_limit is None else limit - heldout_limit
    train = _repeat_passes(train_eligible, config, run_seed, train_limit, heldout.picked)
    repeats = (*heldout.repeats.values(), *train.repeats.values())
    return QuestionSplit(
        tuple(train.picked),
        tuple(heldout.picked),
        len(others) - len(train_eligible),
        repeats,
        (*heldout_eligible, *train_eligible),
    )
