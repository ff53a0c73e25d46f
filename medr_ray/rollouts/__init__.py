"""Many agents at once: worker actors with their own tools, a pool that grows and shrinks with its
tasks, replaces workers that die or stand still and cuts stragglers from groups, an engine actor
that batches the tokens of all of them, and a ledger that keeps every rollout exactly once."""
