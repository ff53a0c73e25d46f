"""Relations read by rules against annotated corpora, with co-occurrence beside them on the same
sets.

BioRED dev: pairs of concepts that a document relates in any way, once between the annotators'
entities and once between those the matcher finds with the full lexicon. BC5CDR dev: chemicals and
the diseases they induce. RareDis train: diseases and signs of one sentence; nothing was fitted on
it. What a pair is, and what is left out, is said in ``support.gold_relations``. Ours is every pair
tied at least as strongly as was best on the training sets of the first two. The peer takes every
pair that a document names, or every one that a sentence does: whichever has the better F1.

What a graph keeps: relations of BioRED dev by predicate, between pairs of those kinds, from
``graph.min_confidence`` on and along a curve over confidence. A relation is right where the
annotators give the pair a type that the predicate can mean (``MEANT_TYPES``). Recall counts all
related pairs, those that no sentence names together included.

``quick`` leaves out the entities found by the matcher.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from support.full_lexicon import annotators_ids, full_lexicon, shared_data
from support.gold import read_bioc, read_brat
from support.gold_ids import GoldIds
from support.gold_relations import (
    DISEASE_DRUG,
    DISEASE_SIGN,
    MEANT_TYPES,
    RELATED_KINDS,
    Pair,
    PairDocument,
    pairs_from_bioc,
    pairs_from_raredis,
    pairs_in_documents,
    pairs_in_sentences,
    replace_entities,
)
from support.scoring import Score

from medr_ray.core.config import EntitiesConfig
from medr_ray.core.config.graph import GraphConfig
from medr_ray.core.measurement import Measurement, build_measurement
from medr_ray.entities.matching import Matcher
from medr_ray.graph.extraction.abstracts import Abstract
from medr_ray.graph.extraction.sentences import SentenceMention
from medr_ray.graph.extraction.strength import (
    MIN_INDUCED,
    MIN_RELATED,
    MIN_RELATED_IF_MATCHED,
    Kinds,
    Tie,
)
from medr_ray.knowledge.lexicon import Concept
from medr_ray.knowledge.predicates import DRUG

Chooser = Callable[[Tie], bool]
# The type of each concept found, and the annotators' ids of it.
FoundEntities = Mapping[str, tuple[str, frozenset[str]]]
Finder = Callable[[str], tuple[list[SentenceMention], FoundEntities]]

_IN_WORDS = {DRUG: "chemical"}
# Of the relations that a graph keeps between the annotators' entities.
MIN_PRECISION = 0.88
MIN_RECALL = 0.22
_CURVE = (0.5, 0.6, 0.7, 0.8, 0.9)  # confidences


@dataclass(frozen=True)
class PairSides:
    """The pairs of one document that each side takes."""

    document: PairDocument
    ours: set[Pair]
    by_document: set[Pair]
    by_sentence: set[Pair]


def measure_relations(quick: bool) -> Iterator[Measurement]:
    """One row for each annotated set, and one for each pair of kinds in BioRED."""
    data = shared_data()
    biored = read_bioc(data / "biored" / "Dev.BioC.XML.gz")
    bc5cdr = read_bioc(data / "bc5cdr" / "CDR_DevelopmentSet.BioC.xml.gz")
    related = [pairs_from_bioc(document, RELATED_KINDS) for document in biored]
    induced = [pairs_from_bioc(document, [DISEASE_DRUG]) for document in bc5cdr]
    yield from _by_kind("BioRED dev, gold entities", related, is_related)
    yield from _measure_kept("BioRED dev, gold entities", related, MIN_PRECISION, MIN_RECALL)
    yield _measure_set(
        "BC5CDR dev, chemical induces disease, gold entities", induced, [DISEASE_DRUG], is_induced
    )
    yield _raredis(data)
    if quick:
        return
    lexicon = full_lexicon(data)
    find = entity_finder(lexicon, annotators_ids(data, lexicon))
    related_found = [replace_entities(document, *find(document.text)) for document in related]
    yield from _by_kind("BioRED dev, found entities", related_found, is_found_related)
    yield from _measure_kept("BioRED dev, found entities", related_found)
    yield _measure_set(
        "BC5CDR dev, chemical induces disease, found entities",
        [replace_entities(document, *find(document.text)) for document in induced],
        [DISEASE_DRUG],
        is_induced,
    )


def is_related(tie: Tie) -> bool:
    return tie.related >= MIN_RELATED


def is_induced(tie: Tie) -> bool:
    return tie.induced is not None and tie.induced >= MIN_INDUCED


def is_found_related(tie: Tie) -> bool:
    return tie.related >= MIN_RELATED_IF_MATCHED


def is_related_in_a_sentence(tie: Tie) -> bool:
    return is_related(tie) and bool(tie.sentences)


def pair_sides(document: PairDocument, kinds: Collection[Kinds], choose: Chooser) -> PairSides:
    """What ours and the peer take out of a document, among pairs of ``kinds``."""
    abstract = Abstract.from_mentions(
        document.text, document.spans, document.mentions, document.types
    )
    ours = {frozenset((tie.first, tie.second)) for tie in abstract.compute_ties() if choose(tie)}
    return PairSides(
        document,
        {pair for pair in ours if document.kinds(pair) in kinds},
        pairs_in_documents(document, kinds),
        pairs_in_sentences(document, kinds),
    )


def score(
    documents: Sequence[PairSides],
    taken: Callable[[PairSides], set[Pair]],
    kinds: Collection[Kinds],
) -> Score:
    """Of the pairs of ``kinds`` that one side takes. A found entity may stand for several ids and
    is right by any."""
    total = Score()
    for sides in documents:
        document = sides.document
        gold = {pair for pair in document.related if document.gold_kinds(pair) in kinds}
        chosen = {
            pair: document.meanings(pair) for pair in taken(sides) if document.kinds(pair) in kinds
        }
        reached = gold & set().union(*chosen.values())
        total += Score(
            sum(not gold.isdisjoint(meanings) for meanings in chosen.values()),
            len(chosen),
            len(reached),
            len(gold),
        )
    return total


@dataclass(frozen=True)
class StatedPair:
    """A pair that a document states by a predicate, with the best confidence of its statements.

    ``reached`` are the annotators' pairs, marked by their document, that it gives rightly.
    """

    confidence: float
    reached: frozenset[tuple[int, Pair]]


def read_stated_pairs(documents: Sequence[PairDocument]) -> list[StatedPair]:
    """The relations that the cues state between pairs of ``RELATED_KINDS``, by predicate."""
    stated_pairs = []
    for number, document in enumerate(documents):
        abstract = Abstract.from_mentions(
            document.text, document.spans, document.mentions, document.types
        )
        best: dict[tuple[Pair, str], float] = {}
        for statement in abstract.statements:
            key = frozenset((statement.subject, statement.object)), statement.predicate
            if document.kinds(key[0]) in RELATED_KINDS:
                best[key] = max(best.get(key, 0.0), statement.confidence)
        for (pair, predicate), confidence in best.items():
            reached = frozenset(
                (number, meaning)
                for meaning in document.meanings(pair)
                if document.related_as.get(meaning, frozenset()) & MEANT_TYPES[predicate]
            )
            stated_pairs.append(StatedPair(confidence, reached))
    return stated_pairs


def score_kept(stated_pairs: Iterable[StatedPair], least: float, gold: int) -> Score:
    """Of the pairs stated at least that surely, out of ``gold`` related ones."""
    kept = [stated for stated in stated_pairs if stated.confidence >= least]
    reached = frozenset().union(*(stated.reached for stated in kept))
    return Score(sum(bool(stated.reached) for stated in kept), len(kept), len(reached), gold)


def _measure_kept(
    name: str,
    documents: Sequence[PairDocument],
    min_precision: float | None = None,
    min_recall: float | None = None,
) -> Iterator[Measurement]:
    """Precision, recall and F1 of what a graph keeps, then the curve over confidence."""
    stated_pairs = read_stated_pairs(documents)
    gold = sum(len(document.related) for document in documents)
    floor = GraphConfig().min_confidence
    kept = score_kept(stated_pairs, floor, gold)
    kept_name = f"{name}, kept relations typed"
    note = f"graph.min_confidence {floor}, {kept.predicted} kept, {gold} related pairs"
    for measure, value, goal in (
        ("precision", kept.precision, min_precision),
        ("recall", kept.recall, min_recall),
        ("F1", kept.f1, None),
    ):
        yield build_measurement(f"{kept_name}, {measure}", value, goal=goal, note=note)
    for least in _CURVE:
        at_least = score_kept(stated_pairs, least, gold)
        yield build_measurement(
            f"{kept_name}, precision at confidence {least}",
            at_least.precision,
            note=f"{at_least.predicted} relations, {_format_score(at_least)}",
        )


def _by_kind(
    name: str, documents: Sequence[PairDocument], choose: Chooser
) -> Iterator[Measurement]:
    """All pairs, then those of each pair of kinds."""
    sides = [pair_sides(document, RELATED_KINDS, choose) for document in documents]
    yield _compare_scores(f"{name}, pairs", sides, RELATED_KINDS)
    for kinds in RELATED_KINDS:
        in_words = "-".join(_IN_WORDS.get(kind, kind) for kind in kinds)
        yield _compare_scores(f"{name}, {in_words} pairs", sides, [kinds])


def _measure_set(
    name: str,
    documents: Sequence[PairDocument],
    kinds: Collection[Kinds],
    choose: Chooser,
    note: str = "",
) -> Measurement:
    sides = [pair_sides(document, kinds, choose) for document in documents]
    return _compare_scores(name, sides, kinds, note)


def _compare_scores(
    name: str, documents: Sequence[PairSides], kinds: Collection[Kinds], note: str = ""
) -> Measurement:
    ours = score(documents, lambda sides: sides.ours, kinds)
    peers = {
        "document": score(documents, lambda sides: sides.by_document, kinds),
        "sentence": score(documents, lambda sides: sides.by_sentence, kinds),
    }
    best_unit = max(peers, key=lambda unit: peers[unit].f1)
    notes = [f"ours {_format_score(ours)}"]
    notes += [f"co-occurrence in a {unit}: {_format_score(peer)}" for unit, peer in peers.items()]
    notes += [note] if note else []
    return build_measurement(
        f"{name} F1",
        ours.f1,
        peers[best_unit].f1,
        f"co-occurrence in a {best_unit}",
        least_ratio=1.0,
        note="; ".join(notes),
    )


def _format_score(score: Score) -> str:
    return f"precision {score.precision:.3f}, recall {score.recall:.3f}, F1 {score.f1:.3f}"


def _raredis(data: Path) -> Measurement:
    published = read_brat(data / "raredis" / "corpus_train.zip")
    documents = [
        document for document in map(pairs_from_raredis, published) if document is not None
    ]
    note = f"{len(documents)} of {len(published)} documents, whose relations fit their mentions"
    return _measure_set(
        "RareDis train, disease and sign of one sentence, gold entities",
        documents,
        [DISEASE_SIGN],
        is_related_in_a_sentence,
        note,
    )


def entity_finder(lexicon: Sequence[Concept], ids: GoldIds) -> Finder:
    """Finds mentions by a matcher; concepts of the same annotators' ids are one."""
    matcher = Matcher.build(lexicon, EntitiesConfig().min_form_length)
    entities = {
        concept.concept_id: (concept.entity_type, ids.ids_of(concept)) for concept in lexicon
    }

    def find(text: str) -> tuple[list[SentenceMention], FoundEntities]:
        mentions = matcher.find_mentions(text)
        named = dict.fromkeys(mention.concept_id for mention in mentions)
        keys = {concept_id: "|".join(sorted(entities[concept_id][1])) for concept_id in named}
        places = [
            SentenceMention(mention.start, mention.end, keys[mention.concept_id])
            for mention in mentions
        ]
        return places, {keys[concept_id]: entities[concept_id] for concept_id in named}

    return find
