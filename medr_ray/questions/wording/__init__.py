"""Putting a path into words, by rules (``writers``) or by a language model (``llm_writer``)."""
