"""Chooses which accepted candidates become questions, and on which side of the split.

Held-out questions are chosen first, among the candidates of a seeded share of the starts that lead
over no hub. A candidate that shares a trial, a drug, a company, an application, a disease, a gene,
a paper or a patent with a held-out question may not train.

Within a side, shapes are taken in turn; within a shape its chains; so that the set is balanced as
far as the candidates allow. No answer and no number of hops takes more than its share. A question
that would repeat a chosen one, on either side, is passed over. All choices depend only on ids and
the run's seed.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from medr_ray.core.config import QuestionsConfig
from medr_ray.core.records import content_id
from medr_ray.questions.checks.duplicates import ComparedQuestion, DuplicateFilter
from medr_ray.questions.drafting.candidates import Candidate
from medr_ray.questions.shapes import MAX_UNANSWERABLE_SHARE, SHAPES, UNANSWERABLE

# A value that many questions may have as their answer without being guessed: a count of 2 to 12.
_MIN_CAP = 3
# An entity of more candidates than this is a hub.
_HUB_SHARE = 0.001
_MIN_HUB = 10


@dataclass(frozen=True)
class QuestionSplit:
    """The questions of both sides, and what was not chosen.

    ``overlapping_count`` counts the train candidates that were dropped for what they share with
    held-out questions. ``repeats`` are the candidates that repeat a chosen one, with the reason.
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


def to_compared_question(candidate: Candidate) -> ComparedQuestion:
    """What the duplicate filter compares: the candidate's key, facts, text, starts and answer."""
    fingerprint = content_id("facts", sorted(candidate.facts))
    answer = candidate.answer_names[0]
    return ComparedQuestion(
        candidate.key, fingerprint, candidate.text, candidate.start_names, answer
    )


@dataclass
class _Picker:
    """One pass of choosing. The queues are by shape, then by chain, in a fixed random order."""

    config: QuestionsConfig
    limit: int
    duplicates: DuplicateFilter
    picked: list[Candidate] = field(default_factory=list)
    repeats: list[tuple[Candidate, str]] = field(default_factory=list)
    _shape_counts: Counter[str] = field(default_factory=Counter)
    _chain_counts: Counter[tuple[str, ...]] = field(default_factory=Counter)
    _answer_counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    _entity_counts: Counter[str] = field(default_factory=Counter)
    _hop_counts: Counter[int] = field(default_factory=Counter)
    _specialty_counts: Counter[str] = field(default_factory=Counter)
    _hop_sum: int = 0

    def pick(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Choose at most ``limit`` candidates, given in a fixed order."""
        queues: dict[str, dict[tuple[str, ...], list[Candidate]]] = defaultdict(dict)
        for candidate in candidates:
            queues[candidate.shape].setdefault(candidate.chain, []).append(candidate)
        while queues and len(self.picked) < self.limit:
            first = min(
                (queue[0] for chains in queues.values() for queue in chains.values()),
                key=self._order_chain,
            )
            shape, chain = first.shape, first.chain
            chains = queues[shape]
            chosen = self._take(chains[chain])
            if chosen is not None:
                self._count(chosen)
            if not chains[chain]:
                del chains[chain]
            if not chains:
                del queues[shape]
        return self.picked

    def _order_chain(self, first: Candidate) -> tuple[bool, float, int, str, tuple[str, ...]]:
        """The order of the chain whose next candidate this is: the rarest shape first, in it the
        rarest chain; with a mean to reach, those that lead towards it before all others."""
        is_away = False
        if self.config.mean_hops is not None and self.picked:
            mean = self._hop_sum / len(self.picked)
            is_away = (first.hops > self.config.mean_hops) != (mean < self.config.mean_hops)
        shape, chain = first.shape, first.chain
        filled = self._shape_counts[shape] / SHAPES[shape].weight
        return is_away, filled, self._chain_counts[chain], shape, chain

    def _take(self, queue: list[Candidate]) -> Candidate | None:
        """The next candidate of a queue that no cap and no likeness bars; None where none is left.
        Of the first few, the one of the rarest specialty."""
        while queue:
            window = queue[: self.config.specialty_window]
            chosen = min(window, key=lambda candidate: self._specialty_counts[candidate.specialty])
            queue.remove(chosen)
            if self._is_capped(chosen):
                continue
            repeated = self.duplicates.add(to_compared_question(chosen))
            if repeated is not None:
                self.repeats.append((chosen, repeated.reason))
                continue
            return chosen
        return None

    def _is_capped(self, candidate: Candidate) -> bool:
        answer_cap = max(_MIN_CAP, round(self.config.max_answer_share * self.limit))
        hop_cap = max(_MIN_CAP, round(self.config.max_hop_share * self.limit))
        shape_cap = max(1, int(self.config.max_shape_share * self.limit))
        if candidate.shape == UNANSWERABLE:
            # A small set has none of them.
            shape_cap = min(shape_cap, int(MAX_UNANSWERABLE_SHARE * self.limit))
        entity_cap = max(_MIN_CAP, round(self.config.max_entity_share * self.limit))
        if any(self._entity_counts[entity] >= entity_cap for entity in candidate.leading_entities):
            return True
        return (
            self._answer_counts[candidate.asked_answer] >= answer_cap
            or self._hop_counts[candidate.hops] >= hop_cap
            or self._shape_counts[candidate.shape] >= shape_cap
        )

    def _count(self, candidate: Candidate) -> None:
        self.picked.append(candidate)
        self._shape_counts[candidate.shape] += 1
        self._chain_counts[candidate.chain] += 1
        self._answer_counts[candidate.asked_answer] += 1
        self._entity_counts.update(candidate.leading_entities)
        self._hop_counts[candidate.hops] += 1
        self._specialty_counts[candidate.specialty] += 1
        self._hop_sum += candidate.hops


def limit_common_answers(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates, in their order, without those whose answer more than half of the questions
    of one kind would have: who always answered so would be right too often."""
    kept: list[Candidate] = []
    by_kind: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for candidate in candidates:
        by_kind[candidate.chain[-1]][candidate.answer] += 1
    limits = {
        kind: max(_MIN_CAP, counts.total() - counts.most_common(1)[0][1])
        for kind, counts in by_kind.items()
    }
    chosen: Counter[tuple[str, str]] = Counter()
    for candidate in candidates:
        if chosen[candidate.asked_answer] < limits[candidate.chain[-1]]:
            chosen[candidate.asked_answer] += 1
            kept.append(candidate)
    return kept


def pick_balanced(
    candidates: Sequence[Candidate],
    config: QuestionsConfig,
    run_seed: int,
    limit: int | None,
    earlier: Sequence[Candidate] = (),
) -> "_Picker":
    """Choose as many candidates as the caps allow, at most ``limit``; they repeat neither each
    other nor a candidate of ``earlier``."""
    ordered = limit_common_answers(
        sorted(candidates, key=lambda candidate: hash_sort_key(run_seed, candidate.key))
    )
    size = len(ordered) if limit is None else min(limit, len(ordered))
    repeats: dict[str, tuple[Candidate, str]] = {}
    while True:
        duplicates = DuplicateFilter()
        for candidate in earlier:
            duplicates.add(to_compared_question(candidate))
        picker = _Picker(config, size, duplicates)
        picker.pick(ordered)
        repeats.update((candidate.key, (candidate, reason)) for candidate, reason in picker.repeats)
        # The caps are shares of the size of the result, which is only known after a pass: passes
        # are repeated until it no longer changes. A pass never picks more than its limit.
        if len(picker.picked) == size:
            break
        size = len(picker.picked)
    # A pass that reaches its limit ends before it sees every repeat that an earlier one saw.
    picked_keys = {candidate.key for candidate in picker.picked}
    picker.repeats = [pair for key, pair in repeats.items() if key not in picked_keys]
    return picker


def find_hubs(candidates: Sequence[Candidate]) -> frozenset[str]:
    """The entities of so many candidates that holding one of them out would bar all of these from
    training: large companies, much studied drugs."""
    counts = Counter(entity for candidate in candidates for entity in candidate.leading_entities)
    limit = max(_MIN_HUB, round(_HUB_SHARE * len(candidates)))
    return frozenset(entity for entity, count in counts.items() if count > limit)


def split_and_balance(
    accepted: Sequence[Candidate], config: QuestionsConfig, run_seed: int
) -> QuestionSplit:
    """Choose both sides from the accepted candidates."""
    _, heldout_seeds = split_seeds(
        (candidate.seed for candidate in accepted), config.heldout_fraction, run_seed
    )
    limit = config.max_questions
    heldout_limit = None if limit is None else round(limit * config.heldout_fraction)
    hubs = find_hubs(accepted)
    heldout_eligible = [
        candidate
        for candidate in accepted
        if candidate.seed in heldout_seeds and hubs.isdisjoint(candidate.leading_entities)
    ]
    # Held-out first: what it picks decides which candidates may train.
    heldout = pick_balanced(heldout_eligible, config, run_seed, heldout_limit)
    shared = frozenset(
        entity for candidate in heldout.picked for entity in candidate.leading_entities
    )
    others = [candidate for candidate in accepted if candidate.seed not in heldout_seeds]
    train_eligible = [
        candidate for candidate in others if shared.isdisjoint(candidate.leading_entities)
    ]
    train_limit = None if limit is None or heldout_limit is None else limit - heldout_limit
    train = pick_balanced(train_eligible, config, run_seed, train_limit, heldout.picked)
    return QuestionSplit(
        tuple(train.picked),
        tuple(heldout.picked),
        len(others) - len(train_eligible),
        (*heldout.repeats, *train.repeats),
        (*heldout_eligible, *train_eligible),
    )
