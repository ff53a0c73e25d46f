"""The reader's gate: a drawn sample of the questions, read by people, each with a verdict.

The room guarantees:

- A draw depends on its seed and size and on the questions' ids alone.
- A verdict that is given is on disk before the next question is shown, and nothing deletes it:
  verdicts stand under ``<run>/reviews/questions/``, outside of the stage, so that neither making
  the questions anew nor deleting earlier results touches them.
- A verdict counts for the question that was read: not for one whose text or answer has changed.
- A question is accepted when somebody has read it and nobody refused it.
"""
