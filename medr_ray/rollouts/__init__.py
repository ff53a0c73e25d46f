"""Runs many agents at once: a pool of worker actors that run episodes, and a ledger of the results.

The pool grows and shrinks with its requests, replaces workers that die or stall, and cuts
stragglers from groups. One engine actor batches the tokens of all episodes. The ledger keeps every
rollout exactly once.
"""
