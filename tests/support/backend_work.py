"""What the workers of the backend tests do. Each function runs on every worker of a gang."""

import random
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.tensor import DTensor

from medr_ray.core.config import OptimiserConfig, TrainerConfig
from medr_ray.training.backends import TrainerBackend, make_backend
from medr_ray.training.batches import Example, MicroBatch, collate
from medr_ray.training.gradients import accumulate_gradients

# A clipped gradient would hide its size, and a decay would change the weights by itself.
OPTIMISER = OptimiserConfig(learning_rate=1e-3, clip_norm=1e9)
_MICRO_TOKENS = 700  # so that a worker has several micro-batches


def draw_examples() -> list[Example]:
    """Nine sequences that differ in length, in targets (from none to more than two chunks of
    logits) and in weight."""
    drawn = random.Random(0)
    examples = []
    for length, share in [
        (640, 0.95), (3, 1.0), (410, 0.1), (90, 0.0), (128, 0.7), (17, 0.5), (300, 1.0), (2, 1.0),
        (64, 0.3),
    ]:  # fmt: skip
        ids = tuple(drawn.randint(3, 300) for _ in range(length))
        targets = tuple(position for position in range(1, length) if drawn.random() < share)
        logprobs = tuple(-5.0 - drawn.random() for _ in targets)
        advantages = tuple(drawn.uniform(-1, 1) for _ in targets)
        examples.append(Example(ids, targets, logprobs, advantages))
    return examples


def own_examples(examples: list[Example]) -> list[Example]:
    """A bad deal: the last worker of four gets nothing, the first of several one long sequence, and
    the others the rest."""
    rank, world_size = dist.get_rank(), dist.get_world_size()
    if world_size == 1:
        return examples
    if rank == 0:
        return examples[:1]
    receivers = range(1, max(2, world_size - 1))
    if rank not in receivers:
        return []
    return examples[1:][rank - 1 :: len(receivers)]


def open_backend(model_dir: Path, **settings: Any) -> TrainerBackend:
    config = TrainerConfig(**{"dtype": "float32", "threads": 1, **settings})
    return make_backend(model_dir, config, OPTIMISER, torch.device("cpu"))


def backpropagate(backend: TrainerBackend, spoil: str = "") -> None:
    """Policy-gradient and likelihood losses of the examples.

    The last worker that has examples spoils its first micro-batch: ``spoil`` "loss" adds infinity
    to its loss, "gradient" a zero whose derivative is NaN.
    """
    examples = draw_examples()
    tokens = sum(len(example.targets) for example in examples)
    spoils = spoil if dist.get_rank() == max(0, dist.get_world_size() - 2) else ""

    def compute_loss(batch: MicroBatch, logprobs: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        ratio = (logprobs - batch.logprobs).clamp(max=2).exp()
        loss = (-(batch.advantages * ratio).sum() - logprobs.sum()) / tokens
        if spoils == "loss":
            loss = loss + torch.inf
        if spoils == "gradient":
            loss = loss + (logprobs * 0).sum().sqrt()
        return loss

    own = own_examples(examples)
    accumulate_gradients(backend, own, _MICRO_TOKENS, 0, compute_loss)


def read_state(backend: TrainerBackend) -> dict[str, torch.Tensor]:
    """The backend's state, whole."""
    state = {}
    for name, value in backend.state().items():
        whole = value.full_tensor() if isinstance(value, DTensor) else value
        state[name] = whole.detach().clone()
    return state


def read_gradients(backend: TrainerBackend) -> dict[str, torch.Tensor]:
    """The gradients of the only step so far, by parameter."""
    gradients = {}
    for name, value in read_state(backend).items():
        kind, _, parameter = name.partition("/")
        if kind == "exp_avg":
            # AdamW's mean after the first step is the gradient times this.
            gradients[parameter] = value / (1 - OPTIMISER.beta1)
    return gradients


def compute_gradients(model_dir: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """``gradients`` by parameter, and their ``norm`` as the backend tells it."""
    backend = open_backend(model_dir, **settings)
    backpropagate(backend)
    outcome = backend.step(0.0)
    assert outcome.applied
    return {"gradients": read_gradients(backend), "norm": outcome.norm}


def examine(model_dir: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """As ``compute_gradients``, of a backend that has skipped two spoiled steps before; with

    - ``skipped``: (norm, applied, whether the state is as before) of those steps,
    - ``streamed``: the weights' stream at the start,
    - ``scores``: log-probabilities without a gradient, at the start and after the last step,
    - ``resumed``: whether a second backend that loads the state after a step has it then,
    - ``state_names``: the names in the state.
    """
    backend = open_backend(model_dir, **settings)
    streamed = dict(backend.stream_weights())
    first_scores = score(backend)
    untouched = read_state(backend)
    skipped = []
    for spoil in ("loss", "gradient"):
        backpropagate(backend, spoil)
        outcome = backend.step(1e-3)
        skipped.append((outcome.norm, outcome.applied, _are_equal(untouched, read_state(backend))))
    backpropagate(backend)
    outcome = backend.step(0.0)
    gradients = read_gradients(backend)
    backpropagate(backend)
    backend.step(1e-3)
    scores = torch.stack([first_scores, score(backend)])
    stepped = read_state(backend)
    second = open_backend(model_dir, **settings)
    second.load_state(backend.state())
    resumed = _are_equal(stepped, read_state(second)) and not _are_equal(stepped, untouched)
    both = [dict(each.stream_weights()) for each in (backend, second)]
    return {
        "gradients": gradients,
        "norm": outcome.norm,
        "applied": outcome.applied,
        "skipped": skipped,
        "streamed": streamed,
        "scores": scores,
        "resumed": resumed and _are_equal(*both),
        "state_names": sorted(stepped),
    }


def score(backend: TrainerBackend) -> torch.Tensor:
    """Log-probabilities of the shortest examples, as an evaluation computes them."""
    batch = collate(draw_examples()[3:6], pad_id=0, device="cpu")
    with torch.no_grad():
        return backend.forward(batch)[0]


def examine_adapter(model_dir: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Two steps of LoRA: the first one's gradients, the trained state, the weights merged and the
    adapter's alone."""
    backend = open_backend(model_dir, **settings)
    backpropagate(backend)
    backend.step(1e-2)
    gradients = read_gradients(backend)
    backpropagate(backend)
    backend.step(1e-2)
    return {
        "gradients": gradients,
        "state": read_state(backend),
        "merged": dict(backend.stream_weights()),
        "adapter": dict(backend.stream_weights(adapter_only=True)),
    }


def _are_equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )
