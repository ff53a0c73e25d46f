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
) -> float:
    """Backpropagate the examples of this worker and return the sum of their losses.

    ``compute_loss`` must divide by the token count of all workers. There must be at least one
    example. A worker with fewer micro-batches than others repeats its first one with a loss of
    zero. With ``tree``, sequences that begin alike go through the model as prefix trees where that
    saves work (see ``plan_micro_batches``).
    """
    plans = plan_micro_batches(examples, max_micro_batch_tokens, tree)
    # Workers exchange weights (ZeRO 3) and gradients in forward and backward passes. All workers
    # must run the same number of passes: with fewer passes in one of them, the others would wait
    # forever.
    rounds = max_over_workers(len(plans))
    total_loss = 0.0
    for index in range(rounds):
        is_filler = index >= len(plans)
        batch = build_micro_batch(plans[0 if is_filler else index], pad_id, backend.device)
        logprobs, entropies = backend.forward(batch)
        loss = compute_loss(batch, logprobs, entropies)
        if is_filler:
            # Still backpropagated, because the backward pass takes part in the exchange.
            loss = loss * 0.0
        backend.backward(loss, is_last=index == rounds - 1)
        total_loss += float(loss.detach())
    return total_loss
