"""Many agents at once: worker actors with their own tools, a pool that grows and replaces dead workers, an engine
actor that batches the tokens of all of them, groups for GRPO, and a ledger that keeps every rollout exactly once."""
