"""Questions as plans over facts of record: drafted by shape, worded by rules or by a model, read
back, verified, balanced, split into training and held-out questions, and read by people.

The room guarantees:

- An accepted question has one value at each step, does not contain its answer, needs every hop, has
  a record that can be searched for each of them, and means its plan and no other.
- No train question shares a trial, drug, company, application, disease, gene, paper or patent with
  a held-out one, and no question repeats another.
- Rejected candidates keep their reasons.
- The same run seed gives the same questions.
"""

from medr_ray.questions.answer_matching import answers_match

__all__ = ["answers_match"]
