"""Which accepted candidates become questions, and on which side of the split.

Seeds are split first, by a seeded hash. Held-out questions are chosen before train ones; then no
candidate may train that shares a relation, a disease, gene or drug of its path, or a seed with a
held-out question. Within a side, nothing ends or decides more than its share of the questions, no
answer is given more than its share and no number of hops is more frequent than its share; below
that hop counts are evened out, and obfuscation levels taken by their weights, as far as the
candidates allow. A question that would repeat one already chosen, on either side, is passed over.
All choices follow from ids and the run's seed.
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
from medr_ray.questions.checks.duplicates import Asked, DuplicateFilter, chain_fingerprint
from medr_ray.questions.checks.question_verification import Verdict
from medr_ray.questions.drafting.question_paths import Path
from medr_ray.questions.wording.writers import Draft


@dataclass(frozen=True)
class Candidate:
    """A worded draft with its verdict."""

    draft: Draft
    text: str
    verdict: Verdict

    @property
    def path(self) -> Path:
        return self.draft.path


@dataclass(frozen=True)
class Split:
    """The questions of both sides, how many train candidates were dropped for what they share with
    held-out, the candidates that repeat a chosen one, with the reason, and all that could have been
    chosen."""

    train: tuple[Candidate, ...]
    heldout: tuple[Candidate, ...]
    overlapping: int
    repeats: tuple[tuple[Candidate, str], ...] = ()
    eligible: tuple[Candidate, ...] = ()


def rank(run_seed: int, *parts: str) -> str:
    """A fixed pseudo-random order: sort by this."""
    return hashlib.sha256("\x1f".join((str(run_seed), *parts)).encode()).hexdigest()


def split_seeds(seeds: Iterable[str], fraction: float, run_seed: int) -> tuple[set[str], set[str]]:
    """(train, held-out) seeds; ``fraction`` of them, rounded to the nearest, are held out."""
    ordered = sorted(set(seeds), key=lambda seed: rank(run_seed, "split", seed))
    held = round(fraction * len(ordered))
    return set(ordered[held:]), set(ordered[:held])


@dataclass(frozen=True)
class HeldoutContent:
    """What held-out questions are made of: their seeds, relations, the entities that lead to their
    answers (values such as a mode of inheritance aside), and those together with the answers."""

    seeds: frozenset[str]
    relations: frozenset[str]
    leading: frozenset[str]
    walked: frozenset[str]

    def overlaps(self, path: Path, entities: Mapping[str, Entity]) -> bool:
        """Whether training on ``path`` would show more of a held-out question than a common
        answer."""
        return bool(
            self.seeds & set(path.entities)
            or self.relations & set(path.relations)
            or self.walked & _leading(path, entities)
            or path.answer in self.leading
        )


def _leading(path: Path, entities: Mapping[str, Entity]) -> set[str]:
    return {
        one for one in path.entities if one != path.answer and entities[one].entity_type != VALUE
    }


def heldout_content(
    heldout: Sequence[Candidate], seeds: set[str], entities: Mapping[str, Entity]
) -> HeldoutContent:
    """The content of the chosen held-out questions and of all held-out seeds."""
    leading = {one for candidate in heldout for one in _leading(candidate.path, entities)}
    answers = {c.path.answer for c in heldout if entities[c.path.answer].entity_type != VALUE}
    relations = {one for candidate in heldout for one in candidate.path.relations}
    return HeldoutContent(
        frozenset(seeds), frozenset(relations), frozenset(leading), frozenset(leading | answers)
    )


@dataclass(frozen=True)
class _Caps:
    """The most questions that may end with one predicate, with one answer, and of one number of
    hops."""

    predicate: int
    answer: int
    hops: int


class _Picker:
    """One pass of choosing under fixed caps."""

    def __init__(
        self,
        candidates: Mapping[str, Sequence[Candidate]],
        caps: _Caps,
        limit: int,
        earlier: Iterable[Candidate],
        weights: Mapping[int, float],
    ) -> None:
        self._candidates, self._caps, self._limit = candidates, caps, limit
        self._weights, self._levels = weights, Counter[int]()
        self.picked: list[Candidate] = []
        self.repeats: dict[str, tuple[Candidate, str]] = {}
        self._duplicates = DuplicateFilter()
        for one in earlier:
            self._duplicates.add(asked(one))
        self._hops: Counter[int] = Counter()
        self._predicates: Counter[str] = Counter()
        self._answers: Counter[str] = Counter()
        self._keys: set[str] = set()
        self._asked: set[tuple[str, str]] = (
            set()
        )  # (seed, final relation): a seed asks for a fact once

    def run(self, per_seed: int) -> list[Candidate]:
        for _ in range(per_seed):
            for seed, candidates in self._candidates.items():
                if len(self.picked) >= self._limit:
                    return self.picked
                open_ones = (one for one in candidates if self._admissible(seed, one))
                chosen = next(filter(self._is_new, sorted(open_ones, key=self._order)), None)
                if chosen is not None:
                    self._take(seed, chosen)
        return self.picked

    def _is_new(self, one: Candidate) -> bool:
        repeated = self._duplicates.add(asked(one))
        if repeated is not None:
            self.repeats[one.path.key] = one, repeated.reason
        return repeated is None

    def _admissible(self, seed: str, one: Candidate) -> bool:
        last = one.path.hops[-1]
        return (
            one.path.key not in self._keys
            and one.path.key not in self.repeats
            and (seed, last.relation_id) not in self._asked
            and self._predicates[one.path.final] < self._caps.predicate
            and self._answers[one.path.answer] < self._caps.answer
            and self._hops[one.path.complexity] < self._caps.hops
        )

    def _order(self, one: Candidate) -> tuple[int, float, int, int, bool, str]:
        path = one.path
        level = one.draft.obfuscation
        return (
            self._hops[path.complexity],
            self._levels[level] / self._weights[level],
            self._predicates[path.final],
            self._answers[path.answer],
            not path.on_chain,
            path.key,
        )

    def _take(self, seed: str, one: Candidate) -> None:
        last = one.path.hops[-1]
        self.picked.append(one)
        self._keys.add(one.path.key)
        self._asked.add((seed, last.relation_id))
        self._hops[one.path.complexity] += 1
        self._predicates[one.path.final] += 1
        self._answers[one.path.answer] += 1
        self._levels[one.draft.obfuscation] += 1


@functools.lru_cache(maxsize=100_000)
def asked(one: Candidate) -> Asked:
    """What makes the candidate another question than others."""
    path = one.path
    edges = []
    for hop in (*path.hops, *path.second):
        edges.append(_edge(hop.predicate, hop.forward, hop.known, hop.target))
        edges += [
            _edge(clause.predicate, clause.forward, hop.target, clause.other) for clause in hop.also
        ]
    edges += [
        _edge(clause.predicate, clause.forward, path.answer, clause.other) for clause in path.about
    ]
    nodes = dict.fromkeys(end for subject, _, obj in edges for end in (subject, obj))
    answer = path.about[0].clinical if path.asked == "share" else path.answer
    return Asked(path.key, chain_fingerprint(tuple(nodes), edges), one.text, path.starts, answer)


def _edge(predicate: str, forward: bool, known: str, other: str) -> tuple[str, str, str]:
    return (known, predicate, other) if forward else (other, predicate, known)


def balance(
    candidates: Sequence[Candidate],
    config: QuestionsConfig,
    run_seed: int,
    limit: int | None,
    earlier: Sequence[Candidate] = (),
) -> list[Candidate]:
    """As many candidates as the caps allow, at most ``limit`` and ``per_seed`` of each seed, that
    repeat neither one another nor ``earlier`` ones."""
    return _pick(candidates, config, run_seed, limit, earlier).picked


def _pick(
    candidates: Sequence[Candidate],
    config: QuestionsConfig,
    run_seed: int,
    limit: int | None,
    earlier: Sequence[Candidate],
) -> _Picker:
    """The pass that stands.

    The caps are shares of the result's own size, so passes are repeated with the size of the last
    until it stands. With fewer final predicates (answers) than the share asks for, the share is
    that of an even distribution.
    """
    by_seed: dict[str, list[Candidate]] = {}
    for one in sorted(candidates, key=lambda one: rank(run_seed, "order", one.path.seed)):
        by_seed.setdefault(one.path.seed, []).append(one)
    predicate_share = _feasible(config.max_predicate_share, {c.path.final for c in candidates})
    answer_share = _feasible(config.max_answer_share, {c.path.answer for c in candidates})
    hop_share = _feasible(config.max_hop_share, {c.path.complexity for c in candidates})
    size = min(
        len(candidates),
        len(by_seed) * config.per_seed,
        limit if limit is not None else len(candidates),
    )
    while True:
        caps = _Caps(_cap(predicate_share, size), _cap(answer_share, size), _cap(hop_share, size))
        picker = _Picker(by_seed, caps, size, earlier, config.obfuscation)
        if len(picker.run(config.per_seed)) == size:
            return picker
        size = len(picker.picked)


def _feasible(share: float, kinds: Set[object]) -> float:
    return max(share, 1 / max(1, len(kinds)))


def _cap(share: float, size: int) -> int:
    return max(1, math.floor(share * size + 1e-9))


def split_and_balance(
    accepted: Sequence[Candidate],
    entities: Mapping[str, Entity],
    config: QuestionsConfig,
    run_seed: int,
) -> Split:
    """Choose both sides from the accepted candidates."""
    _, held = split_seeds((one.path.seed for one in accepted), config.heldout_fraction, run_seed)
    limit = config.max_questions
    held_limit = None if limit is None else round(limit * config.heldout_fraction)
    holdable = [one for one in accepted if one.path.seed in held]
    heldout = _pick(holdable, config, run_seed, held_limit, ())
    others = [one for one in accepted if one.path.seed not in held]
    shown = heldout_content(heldout.picked, held, entities)
    trainable = [one for one in others if not shown.overlaps(one.path, entities)]
    train_limit = None if limit is None or held_limit is None else limit - held_limit
    train = _pick(trainable, config, run_seed, train_limit, heldout.picked)
    repeats = (*heldout.repeats.values(), *train.repeats.values())
    return Split(
        tuple(train.picked),
        tuple(heldout.picked),
        len(others) - len(trainable),
        repeats,
        (*holdable, *trainable),
    )
