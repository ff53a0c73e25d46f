"""The largest micro-batches that a training stage's settings let come."""

from medr_ray.core.config import TrainerConfig
from medr_ray.training.planner.activations import MaskKind, MicroBatchSize

# Share of a sequence's tokens that are targets: those that the model wrote. The rest is the prompt
# and what tools answered.
TARGET_SHARE = 0.5
# As in training.micro_batches, which is not imported because it loads torch.
MAX_MASKED_TOKENS = 8192


def list_largest_batches(longest: int, trainer: TrainerConfig) -> list[MicroBatchSize]:
    """Micro-batches of sequences up to ``longest`` tokens: one sequence alone, as many as
    ``micro_tokens`` lets in with padding, and the largest prefix tree.

    A sequence longer than ``micro_tokens`` is a micro-batch of its own.
    """
    batches = [MicroBatchSize(1, longest, _count_targets(longest))]
    # The mask grows with rows x length x length: the fewest rows have the largest.
    length = min(longest, trainer.micro_tokens // 2)
    rows = trainer.micro_tokens // length
    if rows >= 2:
        batches.append(MicroBatchSize(rows, length, _count_targets(rows * length), "rows"))
    if trainer.tree:
        # On a CPU a tree needs no mask, and may be as large as a micro-batch.
        size = trainer.micro_tokens
        if trainer.use_gpu:
            size = min(size, MAX_MASKED_TOKENS)
        mask: MaskKind = "tree" if trainer.use_gpu else "none"
        batches.append(MicroBatchSize(1, size, _count_targets(size), mask))
    return batches


def _count_targets(tokens: int) -> int:
    return max(1, round(tokens * TARGET_SHARE))
