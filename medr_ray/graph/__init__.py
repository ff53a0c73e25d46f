"""The knowledge graph: grown around rare entities, sampled, and the longest chain through it.

Promises: every relation quotes the sentence that states it, with document and offsets; nothing comes from retracted
papers; graphs do not depend on how the work was divided; chains carry a proven bound. Documents come from the
LanceDB index through the medical retriever; the graph is handed on as Parquet, and exported for other tools.

Where to look: ``stage`` and ``worker`` (who does what), ``expansion`` (the walk through the literature),
``extraction`` with ``abstracts``, ``sentences``, ``cues``, ``cue_tables``, ``assertion``, ``contexts`` and ``strength``
(relations by rules), ``llm_extraction`` with ``linking`` and ``grounding`` (by a model), ``storage``, ``export`` and
``neighbourhood`` (the store), ``validity``, ``search``, ``circuit`` and ``chains`` (longest paths), ``communities``,
``trails`` and ``sampling`` (samples), ``facts``, ``hops`` and ``telling`` (what can be asked).
"""
