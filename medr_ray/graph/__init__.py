"""The knowledge graph: it is grown around rare entities and sampled, and the longest chains through
it are found.

Guarantees: every relation quotes the sentence that states it, with document and offsets. No
relation comes from a retracted paper. Graphs do not depend on how the work was divided. Chains
carry a proven bound on their length. Documents come from the LanceDB index through the medical
retriever. The graph is stored as Parquet and can be exported for other tools.

Where to look: ``stage`` and ``expansion_worker`` (how the work is divided), ``expansion`` (how a
graph grows), ``extraction`` (relations by rules or by a model), ``paths`` (validity, longest
chains, samples), ``facts`` (what a question can ask), ``storage``, ``graph_export`` and
``neighbourhood`` (the stored graph).
"""
