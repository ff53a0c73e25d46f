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
from dataclasses import dataclass, field, replace

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
# The types of BioRED that a predicate can mean. A gene may be linked with a disease, a drug or
# another gene in any direction; no predicate means Comparison or Conversion.
_LINKED = frozenset({"Association", "Positive_Correlation", "Negative_Correlation", "Bind"})
MEANT_TYPES: Mapping[str, frozenset[str]] = {
    "treated_with": frozenset({"Negative_Correlation"}),
    "induced_by": frozenset({"Positive_Correlation"}),
    "associated_gene": _LINKED,
    "acts_on": _LINKED,
    "gene_interaction": _LINKED,
    "combined_with": frozenset({"Cotreatment", "Drug_Interaction"}),
}
_DISEASES = frozenset({"RAREDISEASE", "SKINRAREDISEASE", "DISEASE"})
_SIGNS = frozenset({"SIGN", "SYMPTOM"})
_SUBJECTS = _DISEASES | {"ANAPHOR"}
_SAME_CONCEPT = ("Is_acron", "Is_synon")


@dataclass(frozen=True)
class PairDocument:
    """A text with its sentences, the entities in it, and the pairs that are related. Where the
    entities are not the annotators', ``ids`` holds those that each stands for, and ``gold_types``
    the types of theirs. ``related_as`` has the annotators' types of relation of each related pair.
    """

    text: str
    spans: Sequence[Span]
    mentions: Sequence[SentenceMention]
    types: Mapping[str, str]
    related: frozenset[Pair]
    ids: Mapping[str, frozenset[str]] | None = None
    gold_types: Mapping[str, str] | None = None
    related_as: Mapping[Pair, frozenset[str]] = field(default_factory=dict)

    def kinds(self, pair: Pair) -> Kinds:
        return _sorted_kinds(pair, self.types)

    def gold_kinds(self, pair: Pair) -> Kinds:
        return _sorted_kinds(pair, self.gold_types or self.types)

    def meanings(self, pair: Pair) -> set[Pair]:
        """The pairs of the annotators' concepts that a pair of entities may stand for."""
        if self.ids is None:
            return {pair}
        ids_of_both = [self.ids[entity] for entity in pair]
        return {frozenset(ids) for ids in itertools.product(*ids_of_both)}


def _sorted_kinds(pair: Pair, types: Mapping[str, str]) -> Kinds:
    first, second = sorted(types[entity] for entity in pair)
    return first, second


def pairs_from_bioc(document: GoldDocument, kinds: Collection[Kinds]) -> PairDocument:
    """Of BioRED or BC5CDR, with the annotated entities; pairs of other ``kinds`` are left out."""
    mentions = [
        (mention, concept)
        for mention in document.mentions
        if mention.kind in KINDS and not mention.inside_composite
        for concept in mention.concept_ids
    ]
    types = {concept: KINDS[mention.kind] for mention, concept in mentions}
    pairs = [frozenset(_arguments(relation)) for relation in document.relations]
    known_pairs = [pair for pair in pairs if len(pair) == 2 and pair <= types.keys()]
    related = frozenset(pair for pair in known_pairs if _sorted_kinds(pair, types) in kinds)
    related_as: dict[Pair, frozenset[str]] = {}
    for pair, relation in zip(pairs, document.relations, strict=True):
        if pair in related:
            related_as[pair] = related_as.get(pair, frozenset()) | {relation.kind}
    return PairDocument(
        document.text,
        sentence_spans(document.text),
        [SentenceMention(mention.start, mention.end, concept) for mention, concept in mentions],
        types,
        related,
        related_as=related_as,
    )


def pairs_from_raredis(document: GoldDocument) -> PairDocument | None:
    """With the annotated entities; None where its relations do not fit its mentions."""
    by_id = {mention.mention_id: mention for mention in document.mentions}
    if not all(_fits_its_mentions(relation, by_id) for relation in document.relations):
        return None
    concepts = _concepts_of_mentions(document)
    types = dict(concepts.values())
    mentions = [
        SentenceMention(mention.start, mention.end, concepts[mention.mention_id][0])
        for mention in document.mentions
        if mention.mention_id in concepts
    ]
    spans = sentence_spans(document.text)
    concept_of = {mention_id: concept for mention_id, (concept, _) in concepts.items()}
    pairs = {
        frozenset(map(concept_of.get, concept_of.keys() & _arguments(relation)))
        for relation in document.relations
    }
    unrelated = PairDocument(document.text, spans, mentions, types, frozenset())
    near = pairs_in_sentences(unrelated, [DISEASE_SIGN])
    return replace(unrelated, related=frozenset(pairs & near))


def replace_entities(
    document: PairDocument,
    mentions: Sequence[SentenceMention],
    entities: Mapping[str, tuple[str, frozenset[str]]],
) -> PairDocument:
    """The document with other entities: ``entities`` maps each to its type and to the annotators'
    ids that it stands for. A finding counts as a disease, as with the annotators; types that they
    do not relate are left out."""
    types = {entity: _COARSE[kind] for entity, (kind, _) in entities.items() if kind in _COARSE}
    return replace(
        document,
        mentions=[place for place in mentions if place.concept_id in types],
        types=types,
        ids={entity: entities[entity][1] for entity in types},
        gold_types=document.types,
    )


def _arguments(relation: GoldRelation) -> list[str]:
    """The concepts (BioC) or mentions (brat) that the relation is about, without their roles."""
    return [value for _, value in relation.arguments]


def _fits_its_mentions(relation: GoldRelation, by_id: Mapping[str, GoldMention]) -> bool:
    """Whether the relation points to mentions of kinds it allows."""
    kinds = [by_id[value].kind if value in by_id else "" for _, value in relation.arguments]
    if len(kinds) != 2 or "" in kinds:
        return False
    first, second = kinds
    if relation.kind == "Produces":
        return first in _SUBJECTS and second in _SIGNS
    if relation.kind == "Anaphora":
        return second == "ANAPHOR"
    return (first in _SIGNS) == (second in _SIGNS) or relation.kind not in _SAME_CONCEPT


def _concepts_of_mentions(document: GoldDocument) -> dict[str, tuple[str, str]]:
    """Concept and type of each mention of a disease or sign."""
    names = {
        mention.mention_id: (_type_of(mention), mention.text.casefold())
        for mention in document.mentions
        if mention.kind in _DISEASES | _SIGNS
    }
    meant = {name: name for name in names.values()}
    for relation in document.relations:
        values = _arguments(relation)
        if relation.kind in _SAME_CONCEPT and all(value in names for value in values):
            old, new = sorted(meant[names[value]] for value in values)
            meant = {name: new if other == old else other for name, other in meant.items()}
    return {mention: (":".join(meant[name]), name[0]) for mention, name in names.items()}


def _type_of(mention: GoldMention) -> str:
    return PHENOTYPE if mention.kind in _SIGNS else DISEASE


def pairs_in_documents(document: PairDocument, kinds: Collection[Kinds]) -> set[Pair]:
    """Every pair of those kinds that the document names."""
    return _pairs_within(document, [list(document.mentions)], kinds)


def pairs_in_sentences(document: PairDocument, kinds: Collection[Kinds]) -> set[Pair]:
    """Every pair of those kinds that one of its sentences names side by side."""
    sentences = [
        [mention for mention in document.mentions if start <= mention.start < end]
        for start, end in document.spans
    ]
    return _pairs_within(document, sentences, kinds)


def _pairs_within(
    document: PairDocument, groups: Iterable[Sequence[SentenceMention]], kinds: Collection[Kinds]
) -> set[Pair]:
    pairs = {
        frozenset((earlier.concept_id, later.concept_id))
        for group in groups
        for earlier in group
        for later in group
        if earlier.end <= later.start
    }
    return {pair for pair in pairs if len(pair) == 2 and document.kinds(pair) in kinds}
