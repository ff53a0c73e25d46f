"""The reasoning of the rules teacher, from a question's text to the next tool call.

The modules form one pipeline:

1. ``question_reader`` reads a question by the grammar of ``questions.wording`` into a plan over
   names; ``name_ids`` says which names are one.
2. ``notes`` takes facts from the tool responses. ``rules`` works the plan out from them, step by
   step, and says what is to be looked up where they do not suffice.
3. ``solver`` chooses the call for it, in the words of ``queries``.
4. ``thoughts`` words each move as the teacher's thought. ``trajectories.teacher`` turns move and
   thought into a reply: a tool call or the answer.
"""
