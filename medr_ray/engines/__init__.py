"""Running language models: the engine protocol and its transformers engine, chat rendering, embedded weights and
the text encoder. Token ids in, token ids with log-probabilities out; nothing here knows what an agent is."""
