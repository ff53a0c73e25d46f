"""Longest valid chains and samples of the graph.

``validity`` defines which steps there are and which may follow which. ``branch_and_bound`` and
``circuit`` find the longest path and a proven bound, and ``chains`` chooses between the two.
``sample_space``, ``communities``, ``path_growth`` and ``subgraph_sampling`` take samples. ``stage``
writes one chain for each seed.
"""
