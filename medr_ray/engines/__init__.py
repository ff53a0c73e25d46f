"""Running language models: the engine protocol, transformers and vLLM adapters, chat rendering, embedded weights and
the text encoder. Token ids in, token ids with log-probabilities out; nothing here knows what an agent is."""
