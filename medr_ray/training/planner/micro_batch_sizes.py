"""The largest micro-batches that a training stage's settings let come."""

from medr_ray.core.config import SFTConfig, TrainerConfig
from medr_ray.training.planner.activations import MicroBatchSize

# Share of a sequence's tokens that are targets: those that the model wrote. The rest is the prompt
# and what tools answered.
TARGET_SHARE = 0.5
# Share of a sequence's tokens that it has in common with the others of its tree: the prompt, and
# what the model sampled alike. In the quickstart, 5,701 tokens of padded rows are 3,150 of trees.
SHARED_SHARE = 0.5
# As in training.micro_batches, which is not imported because it loads torch.
MAX_MASKED_TOKENS = 8192


def list_largest_batches(longest: int, trainer: TrainerConfig) -> list[MicroBatchSize]:
    """Micro-batches of sequences up to ``longest`` tokens: one sequence alone, as many as
    ``micro_tokens`` lets in with padding, and the largest prefix tree, which is also what packing
    makes of them.

    A sequence longer than ``micro_tokens`` is a micro-batch of its own.
    """
    batches = [MicroBatchSize(1, longest, _count_targets(longest))]
    # The mask grows with rows x length x length: the fewest rows have the largest.
    length = min(longest, trainer.micro_tokens // 2)
    rows = trainer.micro_tokens // length
    if rows >= 2:
        batches.append(MicroBatchSize(rows, length, _count_targets(rows * length), "rows"))
    if has_trees(trainer):
        batches.append(_describe_largest_tree(longest, trainer))
    return batches


def has_trees(trainer: TrainerConfig) -> bool:
    """Whether sequences may go through the model as prefix trees, which packing makes too."""
    return trainer.tree or (isinstance(trainer, SFTConfig) and trainer.packing)


def _describe_largest_tree(longest: int, trainer: TrainerConfig) -> MicroBatchSize:
    size = trainer.micro_tokens
    if trainer.use_gpu:
        size = min(size, MAX_MASKED_TOKENS)
        return MicroBatchSize(1, size, _count_targets(size), "tree")
    # At least two sequences: the part that they share, and the rest of both.
    length = min(longest, int(size / (2 - SHARED_SHARE)))
    trunk = int(length * SHARED_SHARE)
    branches = (size - trunk) // (length - trunk)
    return MicroBatchSize(1, size, _count_targets(size), "branches", trunk, branches)


def _count_targets(tokens: int) -> int:
    return max(1, round(tokens * TARGET_SHARE))
