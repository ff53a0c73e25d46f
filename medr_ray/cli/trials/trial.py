"""A trial: an input for a role, what is expected of it, and what came back."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from medr_ray.core.config import EndpointConfig, PipelineConfig
from medr_ray.core.prompts import read_package_json
from medr_ray.llm.client import ChatClient

_PACKAGE = "medr_ray.cli.trials"


@dataclass(frozen=True)
class Outcome:
    """What came back of a trial, in words, and whether it is what was expected."""

    passed: bool
    came_back: str


@dataclass(frozen=True)
class Trial:
    """``sent`` and ``expected`` are in words; ``ask`` puts the input to the role through a
    client."""

    name: str
    sent: str
    expected: str
    ask: Callable[[ChatClient], Outcome]


# The trials of a role whose model is the endpoint's.
ListTrials = Callable[[PipelineConfig, EndpointConfig], Iterable[Trial]]


def read_entries(name: str) -> Any:
    """The content of a JSON file of this package."""
    return read_package_json(_PACKAGE, f"{name}.json")
