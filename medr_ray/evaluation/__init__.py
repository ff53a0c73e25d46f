"""Evaluation: held-out questions answered over HTTP by each set of weights, judged, counted and
reported.

An infrastructure failure or an unreachable judge leaves an item "unscored": it is counted apart and
never as wrong.
"""
