"""The rules teacher's thinking: a question read into a plan, what was read noted as facts, and the
next step found from both. ``question_reader`` reads questions in English and Chinese, ``notes`` and
``articles`` read tool responses, ``solver`` decides, ``queries`` words searches and ``thoughts``
words thoughts."""
