"""Annotated relations as pairs of concepts in a document, for measuring and for fitting.

What is a pair: two concepts of kinds that the corpus relates. BioRED relates disease with gene,
disease with chemical, gene with gene, gene with chemical and chemical with chemical, never disease
with disease; its variants are in no vocabulary here, so pairs with one are left out. BC5CDR relates
a chemical with the disease it induces.

RareDis has no concept ids: mentions of one text are one concept, and so are those that its
relations call acronym or synonym. It numbers its mentions anew in half of its documents without
telling the relations, so only documents are used in which every relation points to mentions of
kinds it allows. What counts are a disease and a sign that one sentence names, side by side, related
in any way.
"""

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from support.gold import GoldDocument, GoldMention, GoldRelation

from medr_ray.graph.extraction.sentences import SentenceMention
from medr_ray.graph.extraction.strength import Kinds
from medr_ray.knowledge.predicates import DISEASE, DRUG, GENE, PHENOTYPE
from medr_ray.retrieval.snippets import Span, sentence_spans

Pair = frozenset[str]
_COARSE = {DISEASE: DISEASE, PHENOTYPE: DISEASE, DRUG: DRUG, GENE: GENE}

KINDS = {
    "DiseaseOrPhenotypicFeature": DISEASE,
    "ChemicalEntity": DRUG,
    "GeneOrGeneProduct": GENE,
    "Disease": DISEASE,
    "Chemical": DRUG,
}
DISEASE_DRUG, DISEASE_SIGN = (DISEASE, DRUG), (DISEASE, PHENOTYPE)
RELATED_KINDS: tuple[Kinds, ...] = (
    DISEASE_DRUG,
    (DISEASE, GENE),
    (GENE, GENE),
    (DRUG, GENE),
    (DRUG, DRUG),
)
_DISEASES = frozenset({"RAREDISEASE", "SKINRAREDISEASE", "DISEASE"})
_SIGNS = frozenset({"SIGN", "SYMPTOM"})
_SUBJECTS = _DISEASES | {"ANAPHOR"}
_SAME_CONCEPT = ("Is_acron", "Is_synon")


@dataclass(frozen=True)
class PairDocument:
    """A text with its sentences, the entities in it, and the pairs that are related. Where the
    entities are not the annotators', ``ids`` holds those that each stands for, and ``gold_types``
    the types of theirs."""

    text: str
    spans: Sequence[Span]
    mentions: Sequence[SentenceMention]
    types: Mapping[str, str]
    related: frozenset[Pair]
    ids: Mapping[str, frozenset[str]] | None = None
    gold_types: Mapping[str, str] | None = None

    def kinds(self, pair: Pair) -> Kinds:
        return _sorted_kinds(pair, self.types)

    def gold_kinds(self, pair: Pair) -> Kinds:
        return _sorted_kinds(pair, self.gold_types or self.types)

    def meanings(self, pair: Pair) -> set[Pair]:
        """The pairs of the annotators' concepts that a pair of entities may stand for."""
        ids = self.ids
        return (
            {pair}
            if ids is None
            else {frozenset(each) for each in itertools.product(*(ids[one] for one in pair))}
        )


def _sorted_kinds(pair: Pair, types: Mapping[str, str]) -> Kinds:
    first, second = sorted(types[one] for one in pair)
    return first, second


def pairs_from_bioc(document: GoldDocument, kinds: Collection[Kinds]) -> PairDocument:
    """Of BioRED or BC5CDR, with the annotated entities; pairs of other ``kinds`` are left out."""
    mentions = [
        (one, concept)
        for one in document.mentions
        if one.kind in KINDS and not one.inside_composite
        for concept in one.concept_ids
    ]
    types = {concept: KINDS[one.kind] for one, concept in mentions}
    pairs = (frozenset(concept for _, concept in one.arguments) for one in document.relations)
    related = frozenset(
        one
        for one in pairs
        if len(one) == 2
        and one <= types.keys()
        and tuple(sorted(types[concept] for concept in one)) in kinds
    )
    return PairDocument(
        document.text,
        sentence_spans(document.text),
        [SentenceMention(one.start, one.end, concept) for one, concept in mentions],
        types,
        related,
    )


def pairs_from_raredis(document: GoldDocument) -> PairDocument | None:
    """With the annotated entities; None where its relations do not fit its mentions."""
    known = {one.mention_id: one for one in document.mentions}
    if not all(_fits_its_mentions(one, known) for one in document.relations):
        return None
    concepts = _concepts_of_mentions(document, known)
    types = dict(concepts.values())
    mentions = [
        SentenceMention(one.start, one.end, concepts[one.mention_id][0])
        for one in document.mentions
        if one.mention_id in concepts
    ]
    spans = sentence_spans(document.text)
    pairs = (
        frozenset(concepts[value][0] for _, value in one.arguments if value in concepts)
        for one in document.relations
    )
    found = PairDocument(document.text, spans, mentions, types, frozenset())
    near = pairs_in_sentences(found, [DISEASE_SIGN])
    return PairDocument(
        document.text, spans, mentions, types, frozenset(one for one in pairs if one in near)
    )


def replace_entities(
    document: PairDocument,
    mentions: Sequence[SentenceMention],
    known: Mapping[str, tuple[str, frozenset[str]]],
) -> PairDocument:
    """The document with other entities: ``known`` holds the type of each and the annotators' ids it
    stands for. A finding counts as a disease, as with the annotators; types they do not relate are
    left out."""
    types = {one: _COARSE[kind] for one, (kind, _) in known.items() if kind in _COARSE}
    return replace(
        document,
        mentions=[one for one in mentions if one.concept_id in types],
        types=types,
        ids={one: known[one][1] for one in types},
        gold_types=document.types,
    )


def _fits_its_mentions(relation: GoldRelation, known: Mapping[str, GoldMention]) -> bool:
    """Whether the relation points to mentions of kinds it allows."""
    kinds = [known[value].kind if value in known else "" for _, value in relation.arguments]
    if len(kinds) != 2 or "" in kinds:
        return False
    first, second = kinds
    if relation.kind == "Produces":
        return first in _SUBJECTS and second in _SIGNS
    if relation.kind == "Anaphora":
        return second == "ANAPHOR"
    return (first in _SIGNS) == (second in _SIGNS) or relation.kind not in _SAME_CONCEPT


def _concepts_of_mentions(
    document: GoldDocument, known: Mapping[str, GoldMention]
) -> dict[str, tuple[str, str]]:
    """Concept and type of each mention of a disease or sign."""
    names = {
        one.mention_id: (PHENOTYPE if one.kind in _SIGNS else DISEASE, one.text.casefold())
        for one in document.mentions
        if one.kind in _DISEASES | _SIGNS
    }
    meant = {name: name for name in names.values()}
    for one in document.relations:
        if one.kind in _SAME_CONCEPT and all(value in names for _, value in one.arguments):
            old, new = sorted(meant[names[value]] for _, value in one.arguments)
            meant = {name: new if other == old else other for name, other in meant.items()}
    return {mention: (":".join(meant[name]), name[0]) for mention, name in names.items()}


def pairs_in_documents(document: PairDocument, kinds: Collection[Kinds]) -> set[Pair]:
    """Every pair of those kinds that the document names."""
    return _pairs_within(document, [list(document.mentions)], kinds)


def pairs_in_sentences(document: PairDocument, kinds: Collection[Kinds]) -> set[Pair]:
    """Every pair of those kinds that one of its sentences names side by side."""
    sentences = [
        [one for one in document.mentions if start <= one.start < end]
        for start, end in document.spans
    ]
    return _pairs_within(document, sentences, kinds)


def _pairs_within(
    document: PairDocument, groups: Iterable[Sequence[SentenceMention]], kinds: Collection[Kinds]
) -> set[Pair]:
    return {
        pair
        for group in groups
        for one in group
        for other in group
        if one.end <= other.start
        and len(pair := frozenset((one.concept_id, other.concept_id))) == 2
        and document.kinds(pair) in kinds
    }
