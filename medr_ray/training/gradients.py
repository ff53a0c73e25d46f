"""Forward and backward passes over the examples of one worker."""

from collections.abc import Callable, Sequence

import torch

from medr_ray.training.backends import TrainerBackend
from medr_ray.training.batches import Example, MicroBatch
from medr_ray.training.collectives import max_over_workers
from medr_ray.training.micro_batches import build_micro_batch, plan_micro_batches

# (batch, log-probabilities, entropies) -> loss; the tensors are those of ``PolicyModule.forward``.
LossFunction = Callable[[MicroBatch, torch.Tensor, torch.Tensor], torch.Tensor]


def accumulate_gradients(
    backend: TrainerBackend,
    examples: Sequence[Example],
    max_micro_batch_tokens: int,
    pad_id: int,
    compute_loss: LossFunction,
    tree: bool = False,
    packing: bool = False,
) -> float:
    """Backpropagate the examples of this worker and return the sum of their losses.

    ``compute_loss`` must divide by the token count of all workers. Workers may have different
    numbers of micro-batches, also none: a worker with fewer than others fills up with passes over
    two tokens whose loss is zero. ``compute_loss`` is not called for those. With ``tree``,
    sequences that begin alike go through the model as prefix trees where that saves work, with
    ``packing`` always (see ``plan_micro_batches``).
    """
    plans = (
        plan_micro_batches(examples, max_micro_batch_tokens, tree, backend.device, packing)
        if examples
        else []
    )
    # Workers exchange weights and gradients in forward and backward passes. All workers must run
    # the same number of passes: with fewer passes in one of them, the others would wait forever.
    rounds = max_over_workers(len(plans))
    total_loss = 0.0
    for index in range(rounds):
        is_last = index == rounds - 1
        if index < len(plans):
            batch = build_micro_batch(plans[index], pad_id, backend.device)
            loss = compute_loss(batch, *backend.forward(batch))
            total_loss += float(loss.detach())
        else:
            logprobs, _ = backend.forward(_build_filler(pad_id, backend.device))
            loss = logprobs.sum() * 0.0
        backend.backward(loss, is_last)
    return total_loss


def _build_filler(pad_id: int, device: torch.device) -> MicroBatch:
    """The shortest micro-batch that has a target."""
    filler = Example(ids=(pad_id, pad_id), targets=(1,), logprobs=(0.0,), advantages=(0.0,))
    (plan,) = plan_micro_batches([filler], len(filler.ids))
    return build_micro_batch(plan, pad_id, device)
