"""Policies over chat endpoints: each respondent's endpoint is asked through the governed client.

Rates, budgets, retries, costs and the cache are the client's (``llm.client``). Every rollout has a
seed of its own, so that the cache never answers a second sample with the first.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field

from medr_ray.agent.policies import ChatPolicy, Complete
from medr_ray.core.config import EndpointConfig
from medr_ray.core.parts import digest
from medr_ray.core.records import Task
from medr_ray.core.run import Directory
from medr_ray.llm.client import ChatClient
from medr_ray.rollouts.worker import RolloutRequest

_SEED_DIGITS = 7  # hexadecimal: seeds below 2**28, which every endpoint takes


@dataclass(frozen=True)
class Endpoints:
    """Where respondents are, by name, and the key where it is in no environment variable. Lives in
    memory only."""

    by_respondent: Mapping[str, EndpointConfig]
    secret: str | None = field(default=None, repr=False)


class EndpointPolicies:
    """Makes the policy of an episode; a request's mode names the respondent.

    ``directory`` keeps the cache and what was spent, where there is one. ``max_tokens`` is that of
    one reply.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        max_tokens: int | None = None,
        directory: Directory | None = None,
    ) -> None:
        self._max_tokens = max_tokens
        self._clients = {
            name: ChatClient(endpoint, directory, secret=endpoints.secret)
            for name, endpoint in endpoints.by_respondent.items()
        }

    def __call__(self, request: RolloutRequest) -> ChatPolicy:
        return ChatPolicy(self.complete_for(request))

    def complete_for(self, request: RolloutRequest) -> Complete:
        """What asks the respondent's endpoint for a completion."""
        return functools.partial(
            self._clients[request.mode].complete,
            max_tokens=self._max_tokens,
            seed=choose_seed(request.task, request.rollout),
        )


def choose_seed(task: Task, rollout: int) -> int:
    """The seed of a rollout: the same whenever it is asked, another for every task and rollout."""
    return int(digest(task.text, rollout)[:_SEED_DIGITS], 16)
