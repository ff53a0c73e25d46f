"""The policies of GRPO's rollouts: agents that sample from the engine actor.

The module is loaded in every rollout worker, so it does not import torch.
"""

import functools
from pathlib import Path
from typing import Protocol

from medr_ray.agent.policies import EnginePolicy, Policy
from medr_ray.core.config import AgentConfig
from medr_ray.engines.base import Generation, Sampling
from medr_ray.engines.chat import ChatRenderer
from medr_ray.engines.turn_format import read_stop_ids
from medr_ray.rollouts.worker import RolloutRequest


class TokenSampler(Protocol):
    """Samples tokens after a prompt, such as ``Dialogue``."""

    async def generate(self, prompt: list[int], sampling: Sampling) -> Generation:
        """Token ids after ``prompt``, with their log-probabilities."""
        ...


class DialogueOpener(Protocol):
    """Opens dialogues with engines, such as ``FleetClient``."""

    def open_dialogue(self, name: str) -> TokenSampler:
        """What samples the turns of one dialogue."""
        ...


class EnginePolicyFactory:
    """Makes policies over the engines of a fleet; a PolicyFactory.

    ``temperature`` must be the one the trainer divides its logits by, or the log-probabilities of
    engine and trainer belong to different distributions. What is sampled follows from ``seed``, the
    question and the rollout's number, as far as the engine's numbers do not depend on the requests
    beside it.
    """

    def __init__(
        self,
        engines: DialogueOpener,
        model_dir: str,
        agent: AgentConfig,
        temperature: float,
        trust_remote_code: bool,
        seed: int = 0,
    ) -> None:
        self._engines = engines
        self._model_dir = model_dir
        self._agent = agent
        self._temperature = temperature
        self._trust_remote_code = trust_remote_code
        self._seed = seed

    def __call__(self, request: RolloutRequest) -> Policy:
        dialogue = self._engines.open_dialogue(request.key)
        return EnginePolicy(
            dialogue.generate,
            self._renderer,
            self._agent,
            self._temperature,
            seed=f"{self._seed}/{request.key}",
        )

    @functools.cached_property
    def _renderer(self) -> ChatRenderer:
        # Once in each worker, not for every episode: policies must be cheap to make.
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(
            self._model_dir, trust_remote_code=self._trust_remote_code
        )
        return ChatRenderer(tokenizer, read_stop_ids(Path(self._model_dir)))
