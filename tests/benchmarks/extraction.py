"""Entity recognition on annotated abstracts: F1 of concepts and of mentions, ours against a plain
dictionary.

BC5CDR dev and BioRED dev (abstracts; MeSH and NCBI gene ids), RareDis train (descriptions of rare
diseases; mentions only). Ours is ``Matcher`` over the full lexicon (embedded vocabularies, MeSH,
MONDO, HGNC, DrugBank) and over the embedded one alone; the peer finds the same forms in any case,
with none of our guards. How a concept is scored is said in ``tests/support/scoring.py``, how our
ids become the annotators' in ``tests/support/gold_ids.py``.

``quick`` leaves out the embedded lexicon. Rules may be tuned on the training sets only; nothing
here reads one.
"""

import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from support.full_lexicon import annotators_ids, full_lexicon, shared_data
from support.gold import GoldDocument, read_bioc, read_brat
from support.gold_ids import GoldIds
from support.plain_dictionary import PlainDictionary
from support.scoring import FoundMention, Score, attainable_recall, concept_score, mention_score

from medr_ray.core.config import EntitiesConfig
from medr_ray.core.measurement import Measurement, build_measurement, skip_measurement
from medr_ray.entities.matching import Matcher
from medr_ray.knowledge.lexicon import Concept, build_lexicon
from medr_ray.knowledge.predicates import DISEASE, DRUG, GENE, PHENOTYPE

CHEMICAL = "chemical"
Goals = Mapping[str, float]  # least F1, by kind, of concepts or of mentions
GOALS: Goals = {
    DISEASE: 0.693,
    CHEMICAL: 0.649,
}  # what a plain dictionary made for such a corpus reaches
PEER, PEER_PACKAGE = "plain dictionary", "ahocorasick_rs"
_KINDS = {
    DISEASE: DISEASE,
    PHENOTYPE: DISEASE,
    DRUG: CHEMICAL,
    GENE: GENE,
}  # the corpora tell no sign from a disease

Finder = Callable[[str], list[FoundMention]]


@dataclass(frozen=True)
class Corpus:
    """Documents, and which of their kinds each of ours is measured on."""

    name: str
    documents: Sequence[GoldDocument]
    kinds: Mapping[str, tuple[str, ...]]
    has_ids: bool = True


def measure(quick: bool) -> Iterator[Measurement]:
    data = shared_data()
    corpora = [bc5cdr(data, "Development"), biored(data, "Dev"), raredis(data)]
    full = full_lexicon(data)
    ids = annotators_ids(data, full)
    yield from _measure_lexicon("full lexicon", full, ids, corpora, GOALS)
    if not quick:
        embedded = build_lexicon(EntitiesConfig().vocabularies)
        yield from _measure_lexicon("embedded lexicon", embedded, ids, corpora, {})


def bc5cdr(data: Path, part: str) -> Corpus:
    """``part`` is Training or Development."""
    documents = read_bioc(data / "bc5cdr" / f"CDR_{part}Set.BioC.xml.gz")
    return Corpus(
        f"BC5CDR {_PART_NAMES[part]}", documents, {DISEASE: ("Disease",), CHEMICAL: ("Chemical",)}
    )


def biored(data: Path, part: str) -> Corpus:
    """``part`` is Train or Dev."""
    kinds = {
        DISEASE: ("DiseaseOrPhenotypicFeature",),
        CHEMICAL: ("ChemicalEntity",),
        GENE: ("GeneOrGeneProduct",),
    }
    return Corpus(
        f"BioRED {_PART_NAMES[part]}", read_bioc(data / "biored" / f"{part}.BioC.XML.gz"), kinds
    )


_PART_NAMES = {"Training": "train", "Train": "train", "Development": "dev", "Dev": "dev"}


def raredis(data: Path) -> Corpus:
    kinds = {DISEASE: ("RAREDISEASE", "SKINRAREDISEASE", "DISEASE", "SIGN", "SYMPTOM")}
    return Corpus(
        "RareDis train", read_brat(data / "raredis" / "corpus_train.zip"), kinds, has_ids=False
    )


def finder(matcher: Matcher | PlainDictionary, concepts: Sequence[Concept], ids: GoldIds) -> Finder:
    """What is found in a text, in the annotators' kinds and ids."""
    kinds_and_ids = {
        concept.concept_id: (
            _KINDS.get(concept.entity_type, concept.entity_type),
            ids.ids_of(concept),
        )
        for concept in concepts
    }
    return lambda text: [
        FoundMention(mention.start, mention.end, *kinds_and_ids[mention.concept_id])
        for mention in matcher.find_mentions(text)
    ]


def _measure_lexicon(
    lexicon: str, concepts: Sequence[Concept], ids: GoldIds, corpora: Sequence[Corpus], goals: Goals
) -> Iterator[Measurement]:
    ours = finder(Matcher.build(concepts, EntitiesConfig().min_form_length), concepts, ids)
    texts = [document.text for corpus in corpora for document in corpus.documents]
    if importlib.util.find_spec(PEER_PACKAGE):
        plain = finder(PlainDictionary(concepts, texts), concepts, ids)
    else:
        plain = None
        yield skip_measurement(
            f"{lexicon}: the same without guards", PEER, f"pip install {PEER_PACKAGE}"
        )
    for corpus in corpora:
        yield from _measure_corpus(lexicon, corpus, ours, plain, ids, goals)


def _measure_corpus(
    lexicon: str, corpus: Corpus, ours: Finder, plain: Finder | None, ids: GoldIds, goals: Goals
) -> Iterator[Measurement]:
    predictions = [(document, ours(document.text)) for document in corpus.documents]
    floor = [(document, plain(document.text)) for document in corpus.documents] if plain else None
    for kind, gold_kinds in corpus.kinds.items():
        compare = partial(_compare, f"{corpus.name}, {kind} %s F1 ({lexicon})")
        goal = goals.get(kind) if corpus.has_ids else None  # made for corpora like these two
        if corpus.has_ids:
            attainable = attainable_recall(corpus.documents, gold_kinds, ids.known_ids)
            yield compare(
                "concept",
                concept_score(predictions, kind, gold_kinds),
                concept_score(floor, kind, gold_kinds) if floor else None,
                goal,
                f"; recall possible {attainable:.3f}",
            )
        yield compare(
            "mention",
            mention_score(predictions, kind, gold_kinds),
            mention_score(floor, kind, gold_kinds) if floor else None,
            goal,
        )


def _compare(
    measure: str,
    level: str,
    ours: Score,
    floor: Score | None,
    goal: float | None = None,
    more: str = "",
) -> Measurement:
    note = f"precision {ours.precision:.3f}, recall {ours.recall:.3f}{more}"
    if floor:
        note += f"; {PEER}: {floor.precision:.3f}, {floor.recall:.3f}"
    return build_measurement(
        measure % level,
        ours.f1,
        floor.f1 if floor else None,
        PEER if floor else "",
        goal=goal,
        note=note,
    )
