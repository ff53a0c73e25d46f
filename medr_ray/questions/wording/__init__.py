"""Writers that put a path into words, by rules (``writers``) or by a model (``llm_writer``)."""
