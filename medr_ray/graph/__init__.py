"""The knowledge graph: grown around rare entities, sampled, and the longest chain through it.

Promises: every relation quotes the sentence that states it, with document and offsets; nothing
comes from retracted papers; graphs do not depend on how the work was divided; chains carry a proven
bound. Documents come from the LanceDB index through the medical retriever; the graph is handed on
as Parquet, and exported for other tools.

Where to look: ``stage`` and ``expansion_worker`` (who does what), ``expansion`` (the walk through
the literature), ``extraction`` (relations by rules or by a model), ``paths`` (validity, longest
chains, samples), ``facts`` (what can be asked), ``storage``, ``graph_export`` and ``neighbourhood``
(the store).
"""
