"""The reasoning of the rules teacher, from a question's text to the next tool call.

The modules form one pipeline:

1. ``question_grammar`` (with ``english`` and ``chinese``) parses a question; ``question_reader``
   picks the reading that fits, as a ``plans.Plan``.
2. ``solver`` compares the plan with what was read so far and chooses the next move. ``queries``
   words the searches for it.
3. ``notes`` extracts facts from the tool responses; ``articles`` does so for PubMed articles.
   ``comparison`` ranks candidates when the question asks for an extreme.
4. ``thoughts`` words each move as the teacher's thought. ``trajectories.teacher`` turns move and
   thought into a reply: a tool call or the answer.
"""
