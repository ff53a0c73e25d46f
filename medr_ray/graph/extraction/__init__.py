"""Relations from documents, each with the sentence that states it.

By rules (``extractor``): ``disease_records`` reads annotation records, ``abstracts`` reads
abstracts with ``sentences`` (how named entities are grouped), ``cues`` and ``cue_patterns`` (which
words state which relation), ``assertion`` (negation, speculation), ``contexts`` (when, where, in
whom) and ``strength`` (how strongly two entities are tied). By a language model
(``llm_extractor``): what it proposes is linked to concepts (``linking``) and checked against the
document (``grounding``).
"""
