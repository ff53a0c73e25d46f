"""Running language models: the engine protocol, the transformers engine and the loop that lets many
callers share its batch, chat rendering, embedded weights and the text encoder. Token ids in, token
ids with log-probabilities out; nothing here knows what an agent is."""
