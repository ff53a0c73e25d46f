"""Scorers: is this prediction right for this task? Each is usable alone.

A scorer answers with a ``Score`` (``base``) that names the scorer, the judge and the prompt that
made it. ``rules`` decides by equality after normalisation, ``llm_judge`` asks a language model.
What cannot be decided, because a judge is unreachable or its reply has no verdict, is "unscored"
and never incorrect.
"""
