"""Training dialogues: the teacher under masked guidance, the filter that keeps what is worth learning (and says why
it drops the rest), and the dialogues as token ids with a loss mask."""
