"""What a training stage will take before it starts: bytes by part, GPUs, disk, steps and hours.

Everything is computed from the shape of the model (its ``config.json``) and the configuration; no
weights are read. ``planner.plan.plan_training`` makes the plan, ``planner.report`` prints it.

The largest micro-batch is planned: a sequence alone, padded rows with their masks, or the prefix
tree that trees and packing make. On a CPU, where a tree is computed by branch, its sequences are
taken to share half of their tokens (``micro_batch_sizes.SHARED_SHARE``).

Not planned: what is alive only while a mask is made, before the layers; the tokens of a
micro-batch and its targets, some bytes each; what an allocator holds in pieces; and trees whose
sequences share more than half, of which a CPU keeps more copies of keys and values.
"""
