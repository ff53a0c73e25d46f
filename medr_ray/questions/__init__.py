"""Questions from chains: composed, worded by rules or by a model, verified against every known
fact, balanced, split.

Promised: an accepted question has one answer, does not hold it, needs every hop and has evidence
for each; no held-out entity chain is trained on; no question repeats another; rejected candidates
keep their reasons; the same run seed gives the same questions.
"""

from medr_ray.questions.answer_matching import answers_match

__all__ = ["answers_match"]
