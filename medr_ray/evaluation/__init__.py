"""Evaluation: benchmarks answered over HTTP by each set of weights, judged, counted and reported.

A benchmark hands out tasks and their scorers (``benchmarks``, ``scorers``). A run keeps who was
asked, the answers and their scores (``runs``), ``figures`` counts the verdicts, and ``report``
shows them. An infrastructure failure or an unreachable judge leaves an answer "unscored": it is
counted apart and never as wrong.
"""
