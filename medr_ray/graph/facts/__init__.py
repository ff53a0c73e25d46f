"""What a question can ask of the graph: all facts by hop (``fact_index``), the relations that words
can express as a hop (``hops``), and the further facts that are needed where a hop alone fits
several entities (``disambiguation``)."""
