"""Questions from chains: drafted, worded by rules or by a model, verified against every annotated
fact, balanced, and split into training and held-out questions.

The room guarantees:

- An accepted question has one answer, does not contain it, needs every hop, and has evidence for
  each of them.
- No entity chain of a held-out question is trained on, and no question repeats another.
- Rejected candidates keep their reasons.
- The same run seed gives the same questions.
"""

from medr_ray.questions.answer_matching import answers_match

__all__ = ["answers_match"]
