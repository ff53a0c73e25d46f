"""Calibrating the cues of ``knowledge.predicates``: how often each is right on the training set of
BioRED.

``PYTHONPATH=tests python -m support.fit_cues DATA`` prints, for each cue that states a pair of
``RELATED_KINDS`` there, the figures and the confidences for its declaration; DATA is the folder of
real files. A pair counts once for a cue. It is right where the annotators relate the two by a type
that the predicate can mean (``MEANT_TYPES``). The confidence is the share of right pairs, drawn
towards ``PRIOR`` as if ``PRIOR_PAIRS`` more had been seen: one right pair of one is no proof.
"""

import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from support.gold import read_bioc
from support.gold_relations import MEANT_TYPES, RELATED_KINDS, PairDocument, pairs_from_bioc

from medr_ray.graph.extraction.cues import read_cues
from medr_ray.graph.extraction.sentences import build_sentences
from medr_ray.knowledge.predicates import PREDICATES, Cue

PRIOR = 0.75  # the share of right pairs that a cue of unknown quality is taken to have
PRIOR_PAIRS = 4
_DIGITS = 2


@dataclass
class CueFigures:
    """Whether each pair that a cue stated was right, by document and pair: as it is worded, and
    with other words around it."""

    whole: dict[object, bool] = field(default_factory=dict)
    loose: dict[object, bool] = field(default_factory=dict)


def observe_cues(documents: Iterable[PairDocument]) -> dict[int, CueFigures]:
    """The figures of each cue, by its ``id``: some cues are equal but for their place."""
    figures: dict[int, CueFigures] = defaultdict(CueFigures)
    for number, document in enumerate(documents):
        for sentence in build_sentences(
            document.text, document.spans, document.mentions, document.types
        ):
            for reading in read_cues(sentence):
                statement = reading.statement
                pair = frozenset((statement.subject, statement.object))
                if document.kinds(pair) not in RELATED_KINDS:
                    continue
                types = document.related_as.get(pair, frozenset())
                cue = figures[id(reading.cue)]
                seen = cue.loose if reading.is_loose else cue.whole
                seen[number, pair] = not types.isdisjoint(MEANT_TYPES[statement.predicate])
    return figures


def count_right(seen: dict[object, bool]) -> tuple[int, int]:
    """(right, all) of the pairs of a cue."""
    return sum(seen.values()), len(seen)


def compute_confidence(right: int, stated: int) -> float:
    """The share of right pairs, drawn towards the prior."""
    share = (right + PRIOR * PRIOR_PAIRS) / (stated + PRIOR_PAIRS)
    return round(share, _DIGITS)


def list_cues() -> list[Cue]:
    """The declared cues, each once, in the order of the predicates."""
    cues = {id(cue): cue for predicate in PREDICATES.values() for cue in predicate.cues}
    return list(cues.values())


def main(data: Path) -> None:
    documents = [
        pairs_from_bioc(document, RELATED_KINDS)
        for document in read_bioc(data / "biored" / "Train.BioC.XML.gz")
    ]
    figures = observe_cues(documents)
    for cue in list_cues():
        seen = figures.get(id(cue))
        if seen is None:
            continue
        observed = count_right(seen.whole)
        observed_loose = count_right(seen.loose)
        print(cue.between)
        print(f"    confidence={compute_confidence(*observed)}, observed={observed}")
        print(f"    loose={compute_confidence(*observed_loose)}, observed_loose={observed_loose}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
