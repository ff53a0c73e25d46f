"""The messages between the gateway and a replica that researches."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from medr_ray.agent.dialogue import NO_LIMITS, Exchange, ResearchLimits
from medr_ray.agent.events import EpisodeEvent
from medr_ray.core.records import Language
from medr_ray.serving.messages import Refusal


@dataclass(frozen=True)
class ResearchJob:
    """A question. ``model`` is the served name of the weights; ``language`` None is the question's
    own; ``earlier`` is the dialogue before it, the oldest first. ``temperature`` 0 is greedy."""

    question: str
    model: str
    language: Language | None = None
    earlier: tuple[Exchange, ...] = ()
    limits: ResearchLimits = NO_LIMITS
    temperature: float = 0.0
    seed: int | None = None


class ResearchBackend(Protocol):
    """What researches: a replica behind a Serve handle, or the replica itself."""

    def research(self, job: ResearchJob) -> AsyncIterator[Refusal | EpisodeEvent]:
        """A Refusal, or the events of the episode; an answer or an error is the last."""
        ...

    async def diagnose(self, arguments: Mapping[str, Any]) -> dict[str, Any] | Refusal:
        """The likeliest diseases for findings (see ``tools.diagnose.description``)."""
        ...
