"""The knowledge graph: grown around rare entities, and the longest chain through it.

Promises: every relation quotes the sentence that states it, with document and offsets; nothing comes from retracted
papers; graphs do not depend on how the work was divided; chains carry a proven bound. Documents come from the
LanceDB index through the medical retriever; the graph is handed on as Parquet and GraphML.
"""
