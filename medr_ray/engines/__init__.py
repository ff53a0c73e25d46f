"""Running language models in this process.

The room has the engine protocol, the transformers engine, the loop that lets many callers share its
batch, chat rendering, embedded weights and the text encoder. Guaranteed: token ids go in, token ids
with their log-probabilities come out. Nothing here knows what an agent is.
"""
