"""Graphs, chains and questions: longest chains, relation extraction, expansion, what becomes of
candidates.

Chains: ours against the usual method, an exhaustive depth-first search that is cut off after ten
seconds, and against the proven bound (``tests/support/measured_chains.py``). Extraction by rules:
BioRED dev, BC5CDR dev and RareDis train beside co-occurrence on the same pairs
(``measured_relations.py``). Expansion: relations a second on one and on two workers, equal outputs
(``measured_expansion.py``). Questions: those of a finished run (``measured_questions.py``).

Runs that are read: ``runs/quickstart`` and ``runs/questions`` of the checkout, or the one
MEDR_BENCH_RUN names.
"""

from collections.abc import Iterator

from support import measured_chains, measured_expansion, measured_questions, measured_relations

from medr_ray.core.measurement import Measurement


def measure(quick: bool) -> Iterator[Measurement]:
    for part in (measured_relations, measured_questions, measured_expansion, measured_chains):
        yield from part.rows(quick)
