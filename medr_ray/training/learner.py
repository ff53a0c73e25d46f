"""The part of a GRPO update that every worker runs: the examples become an optimiser step."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from medr_ray.core.config import GRPOConfig
from medr_ray.training.backends import TrainerBackend
from medr_ray.training.batches import Example, MicroBatch
from medr_ray.training.collectives import max_over_workers, sum_over_workers
from medr_ray.training.dealing import DealtExamples
from medr_ray.training.gradients import accumulate_gradients
from medr_ray.training.losses import POLICY_LOSSES
from medr_ray.training.schedules import scheduled_learning_rate
from medr_ray.training.update_metrics import LearningFigures


@dataclass(frozen=True)
class _OwnFigures:
    """What one worker's examples came to: its share of the loss, its sums over tokens (entropy,
    divergence, ratio, tokens that are mismatched, clipped below and clipped above), and its largest
    ratio."""

    loss: float
    sums: list[float]
    largest_ratio: float


class Learner:
    """Learns from the examples of one worker."""

    def __init__(self, backend: TrainerBackend, config: GRPOConfig, pad_id: int) -> None:
        self._backend = backend
        self._config = config
        self._pad_id = pad_id
        self._policy_loss = POLICY_LOSSES[config.loss]

    def learn(self, dealt: DealtExamples, update: int) -> LearningFigures:
        """One optimiser step over all workers, each with its own examples.

        The weights stay as they are when there is nothing to learn.
        """
        started = time.monotonic()
        tokens = dealt.tokens
        # It is the count of all workers, so all of them return here.
        if not tokens:
            return _nothing_learned(tokens)
        own = self._accumulate(dealt.own, tokens)
        loss, *sums = sum_over_workers(own.loss, *own.sums)
        largest_ratio = max_over_workers(own.largest_ratio)
        rate = scheduled_learning_rate(self._config.optimiser, update, self._config.updates)
        outcome = self._backend.step(rate)
        entropy, divergence, ratio, mismatched, clipped_low, clipped_high = (
            round(total / tokens, 6) for total in sums
        )
        return LearningFigures(
            loss=round(loss, 6),
            entropy=entropy,
            mismatch_kl=divergence,
            ratio_mean=ratio,
            ratio_largest=round(largest_ratio, 4),
            mismatch_share=mismatched,
            clip_fraction=round(clipped_low + clipped_high, 6),
            clip_low_share=clipped_low,
            clip_high_share=clipped_high,
            grad_norm=round(outcome.norm, 4) if outcome.applied else None,
            applied=outcome.applied,
            tokens=tokens,
            sequences=dealt.sequences,
            sequence_tokens=dealt.sequence_tokens,
            learn_seconds=round(time.monotonic() - started, 2),
        )

    def _accumulate(self, examples: Sequence[Example], tokens: int) -> "_OwnFigures":
        """Backpropagate this worker's examples. ``tokens`` is the count over all workers."""
        sums = torch.zeros(6, dtype=torch.float64)
        largest_ratio = torch.zeros((), dtype=torch.float64)

        def compute_loss(
            batch: MicroBatch, logprobs: torch.Tensor, entropies: torch.Tensor
        ) -> torch.Tensor:
            result = self._policy_loss(logprobs, batch.logprobs, batch.advantages, self._config)
            parts = [
                entropies.sum(),
                result.divergence,
                result.ratio,
                result.mismatched,
                result.clipped_low,
                result.clipped_high,
                result.largest_ratio,
            ]
            # One transfer from the device for a micro-batch, instead of one for each figure.
            figures = torch.stack([part.double() for part in parts]).cpu()
            sums.add_(figures[:-1])
            torch.maximum(largest_ratio, figures[-1], out=largest_ratio)
            # By the tokens of all workers and micro-batches: every token of the update weighs the
            # same, however long its rollout is (token-level loss, DAPO, arXiv 2503.14476).
            return result.loss / tokens

        loss = accumulate_gradients(
            self._backend,
            examples,
            self._config.micro_tokens,
            self._pad_id,
            compute_loss,
            self._config.tree,
        )
        return _OwnFigures(loss, sums.tolist(), float(largest_ratio))


def _nothing_learned(tokens: int) -> LearningFigures:
    return LearningFigures(
        loss=0.0,
        entropy=None,
        mismatch_kl=None,
        ratio_mean=None,
        ratio_largest=None,
        mismatch_share=None,
        clip_fraction=None,
        clip_low_share=None,
        clip_high_share=None,
        grad_norm=0.0,
        applied=None,
        tokens=tokens,
        sequences=0,
        sequence_tokens=0,
        learn_seconds=0.0,
    )
