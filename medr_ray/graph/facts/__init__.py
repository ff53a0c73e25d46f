"""What can be asked of the graph: all known facts by hop (``fact_index``), hops that words can
express (``hops``), and further facts where a hop alone fits several entities
(``disambiguation``)."""
