"""Evaluation: benchmarks answered over HTTP by each set of weights, judged, counted and reported.

A benchmark hands out tasks and a judge (``benchmarks``). The stage serves the run's models, the
runner has agents answer the tasks, and ``figures`` counts the verdicts. An infrastructure failure
or an unreachable judge leaves an answer "unscored": it is counted apart and never as wrong.
"""
