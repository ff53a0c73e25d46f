"""Training dialogues: the teacher under masked guidance, the filter that keeps what is worth
learning (and says why it drops the rest), thoughts worded anew, dialogues balanced over
specialties, exported, and as token ids with a loss mask.

The rules teacher reads a question into a plan and tool responses into facts, and finds out what to
do next from both (``solver``).
"""
