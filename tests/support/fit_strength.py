"""Fitting the weights of ``graph.extraction.strength``: logistic regression on the training sets of
BioRED and BC5CDR.

``PYTHONPATH=tests python -m support.fit_strength DATA`` prints them, with the F1 of five-fold
cross-validation and the strength from which it is best; DATA is the folder of real files. A pair is
positive where the annotators relate the two concepts in any way; BC5CDR's only relation is
"chemical induces disease". Last comes the strength from which the F1 of BioRED is best between the
mentions that the matcher finds there; what it misses counts as missed.
"""

import sys
from collections.abc import Collection, Iterable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from support.full_lexicon import annotators_ids, full_lexicon
from support.gold import read_bioc
from support.gold_relations import (
    DISEASE_DRUG,
    RELATED_KINDS,
    PairDocument,
    pairs_from_bioc,
    replace_entities,
)
from support.measured_relations import entity_finder

from medr_ray.graph.extraction.abstracts import read_statements
from medr_ray.graph.extraction.sentences import build_sentences
from medr_ray.graph.extraction.strength import (
    INDUCED_PREDICATES,
    RELATED_WEIGHTS,
    Kinds,
    compute_feature_values,
    compute_features,
)

FOLDS = 5
_RIDGE = 1.0  # penalty on each weight but the base


@dataclass(frozen=True)
class Examples:
    """Rows of features, whether the pair is related, the number of its document, its kinds."""

    rows: np.ndarray
    related: np.ndarray
    documents: np.ndarray
    kinds: Sequence[Kinds]

    def of(self, kinds: Kinds) -> "Examples":
        chosen = np.array([kind == kinds for kind in self.kinds])
        return Examples(
            self.rows[chosen],
            self.related[chosen],
            self.documents[chosen],
            [kinds] * int(chosen.sum()),
        )


def related_examples(data: Path) -> Examples:
    documents = read_bioc(data / "biored" / "Train.BioC.XML.gz")
    return examples(
        [pairs_from_bioc(document, RELATED_KINDS) for document in documents], RELATED_KINDS, ()
    )


def induced_examples(data: Path) -> Examples:
    documents = read_bioc(data / "bc5cdr" / "CDR_TrainingSet.BioC.xml.gz")
    return examples(
        [pairs_from_bioc(document, [DISEASE_DRUG]) for document in documents],
        [DISEASE_DRUG],
        INDUCED_PREDICATES,
    )


def examples(
    documents: Iterable[PairDocument], kinds: Collection[Kinds], predicates: Collection[str]
) -> Examples:
    rows, related, numbers, all_kinds = [], [], [], []
    for number, document in enumerate(documents):
        sentences = build_sentences(
            document.text, document.spans, document.mentions, document.types
        )
        statements = list(read_statements(sentences, document.types))
        for pair in compute_features(sentences, statements):
            if pair.kinds in kinds:
                rows.append(compute_feature_values(pair, predicates))
                related.append(
                    not document.related.isdisjoint(
                        document.meanings(frozenset((pair.first, pair.second)))
                    )
                )
                numbers.append(number)
                all_kinds.append(pair.kinds)
    return Examples(np.array(rows, float), np.array(related, float), np.array(numbers), all_kinds)


def fit(rows: np.ndarray, related: np.ndarray) -> np.ndarray:
    """Weights of a logistic regression with a ridge penalty; the first column is the base and has
    none."""
    penalty = np.full(rows.shape[1], _RIDGE)
    penalty[0] = 0

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        odds = rows @ weights
        value = np.sum(np.logaddexp(0, odds) - related * odds) + np.sum(penalty * weights**2) / 2
        return float(value), rows.T @ (1 / (1 + np.exp(-odds)) - related) + penalty * weights

    return np.asarray(minimize(loss, np.zeros(rows.shape[1]), jac=True, method="L-BFGS-B").x)


def cross_validated(data: Examples) -> np.ndarray:
    """The strength of each pair by weights that were fitted without its document."""
    strength = np.zeros(len(data.related))
    for fold in range(FOLDS):
        left_out = data.documents % FOLDS == fold
        weights = fit(data.rows[~left_out], data.related[~left_out])
        strength[left_out] = 1 / (1 + np.exp(-data.rows[left_out] @ weights))
    return strength


def best_least(
    strength: np.ndarray, related: np.ndarray, total: float | None = None
) -> tuple[float, float]:
    """(strength from which F1 is best, that F1), out of steps of 0.01. ``total`` is the number of
    related pairs where some are not among the given ones."""
    gold = related.sum() if total is None else total
    scores = []
    for least in np.arange(0.05, 0.6, 0.01):
        chosen = strength >= least
        scores.append((2 * related[chosen].sum() / (chosen.sum() + gold), -round(float(least), 2)))
    f1, least = max(scores)
    return -least, float(f1)


def best_found(data: Path) -> tuple[float, float]:
    """``best_least`` of the weights as they are, between found mentions. Takes minutes: the lexicon
    is the full one."""
    lexicon = full_lexicon(data)
    find = entity_finder(lexicon, annotators_ids(data, lexicon))
    documents = [
        pairs_from_bioc(document, RELATED_KINDS)
        for document in read_bioc(data / "biored" / "Train.BioC.XML.gz")
    ]
    training = examples(
        [replace_entities(document, *find(document.text)) for document in documents],
        RELATED_KINDS,
        (),
    )
    weights = np.array([astuple(RELATED_WEIGHTS[kinds]) for kinds in training.kinds])
    strength = 1 / (1 + np.exp(-np.sum(training.rows * weights, axis=1)))
    return best_least(
        strength, training.related, sum(len(document.related) for document in documents)
    )


def main(data: Path) -> None:
    related = related_examples(data)
    parts = {kinds: related.of(kinds) for kinds in RELATED_KINDS}
    for kinds, part in parts.items():
        weights = np.round(fit(part.rows, part.related), 2).tolist()
        print(kinds, weights, best_least(cross_validated(part), part.related))
    strength = np.concatenate([cross_validated(part) for part in parts.values()])
    print(
        "related", best_least(strength, np.concatenate([part.related for part in parts.values()]))
    )
    induced = induced_examples(data)
    print(
        "induced",
        np.round(fit(induced.rows, induced.related), 2).tolist(),
        best_least(cross_validated(induced), induced.related),
    )
    print("related, found mentions", best_found(data))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
