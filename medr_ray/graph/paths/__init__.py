"""Longest valid chains and samples of the graph.

``validity`` says which step may follow which; ``branch_and_bound`` and ``circuit`` find the longest
path and a proven bound, ``chains`` chooses between them; ``communities``, ``path_growth`` and
``subgraph_sampling`` take samples; ``stage`` writes one chain for each seed.
"""
