"""What each process does in the tests of prefix trees over several workers."""

import random
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from support.backend_work import open_backend, read_gradients

from medr_ray.training.batches import Example, MicroBatch
from medr_ray.training.dealing import deal_examples
from medr_ray.training.gradients import accumulate_gradients
from medr_ray.training.micro_batches import plan_micro_batches
from medr_ray.training.tree_attention import enable_tree_attention

_MICRO_TOKENS = 300  # so that groups are cut and a worker has several micro-batches


def draw_rollouts() -> list[Example]:
    """Three questions with four rollouts each, of which some are alike beyond the question."""
    drawn = random.Random(0)
    examples = []
    for _ in range(3):
        prompt = [drawn.randint(3, 300) for _ in range(60)]
        thought = [drawn.randint(3, 300) for _ in range(20)]
        for number in range(4):
            answer = [drawn.randint(3, 300) for _ in range(drawn.randint(5, 50))]
            ids = (*prompt, *thought[: 10 * number], *answer)
            targets = tuple(range(len(prompt), len(ids)))
            logprobs = tuple(-5.0 - drawn.random() for _ in targets)
            advantages = tuple(drawn.uniform(-1, 1) for _ in targets)
            examples.append(Example(ids, targets, logprobs, advantages))
    return examples


def learn_rollouts(model_dir: Path, settings: dict[str, Any], tree: bool) -> dict[str, Any]:
    """``gradients`` by parameter, and the number of ``trees`` that this worker learned from."""
    backend = open_backend(model_dir, **settings)
    if tree:
        enable_tree_attention(backend.model)
    examples = draw_rollouts()
    tokens = sum(len(example.targets) for example in examples)

    def compute_loss(batch: MicroBatch, logprobs: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        ratio = (logprobs - batch.logprobs).clamp(max=2).exp()
        return (-(batch.advantages * ratio).sum() - logprobs.sum()) / tokens

    own = deal_examples(examples, dist.get_world_size(), tree)[dist.get_rank()]
    accumulate_gradients(backend, own, _MICRO_TOKENS, 0, compute_loss, tree)
    assert backend.step(0.0).applied
    plans = plan_micro_batches(own, _MICRO_TOKENS, tree)
    return {
        "gradients": read_gradients(backend),
        "trees": sum(plan.is_tree for plan in plans),
    }
