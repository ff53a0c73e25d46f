"""The tool-selection policy P(medical retriever | s, q) = σ(wᵀφ(s, q)) (paper section 2.2), kept as
JSON.

With two tools the paper's two sigmoids say the same thing twice, so there is one. A feature that is
missing (NaN) counts as its mean. It is fitted from what agents did (``tool_fitting``), and the
prompt says it as a prior: it never overrides the agent.
"""

import functools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from medr_ray.agent.tool_features import FEATURES, GENERAL, MEDICAL, Rarity, features_of
from medr_ray.core.config import AgentConfig
from medr_ray.core.errors import ConfigError
from medr_ray.core.files import locate
from medr_ray.core.records import from_row
from medr_ray.tools.base import Tool


@dataclass(frozen=True)
class ToolPolicy:
    """w, in units of the standardised features; ``calls`` is how many choices it was fitted on,
    ``share`` the share of them that went to the medical retriever."""

    features: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float
    l2: float
    calls: int
    share: float

    def probabilities(self, features: Sequence[Sequence[float]]) -> np.ndarray:
        """Of the next call going to the medical retriever, one for each row of (n, features)."""
        margin = (
            standardised(np.asarray(features, float), self.mean, self.scale)
            @ np.array(self.weights)
            + self.bias
        )
        return 0.5 * (1 + np.tanh(0.5 * margin))  # σ, which overflows nowhere when written so

    def save(self, uri: str) -> None:
        """Write it as JSON to a path or URI."""
        fs, path = locate(uri)
        with fs.open_output_stream(path) as stream:
            stream.write(f"{json.dumps(asdict(self), indent=1)}\n".encode())


def standardised(
    features: np.ndarray,
    mean: Sequence[float] | np.ndarray,
    scale: Sequence[float] | np.ndarray,
) -> np.ndarray:
    """(features - mean) / scale, and 0 for what is missing."""
    z = (features - np.asarray(mean)) / np.asarray(scale)
    return np.where(np.isnan(z), 0.0, z)


@functools.cache
def load_tool_policy(uri: str) -> ToolPolicy:
    """A saved policy, read once per process. Raises ConfigError that names the file and the
    remedy."""
    fs, path = locate(uri)
    try:
        with fs.open_input_stream(path) as stream:
            policy = from_row(ToolPolicy, json.loads(stream.read()))
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"agent.tool_policy: {uri} is no fitted tool policy: {error}") from error
    if policy.features != FEATURES:
        raise ConfigError(
            f"agent.tool_policy: {uri} was fitted on other features ({', '.join(policy.features)}): "
            f"fit it again, on {', '.join(FEATURES)}"
        )
    return policy


def prior_of(
    agent: AgentConfig, question: str, tools: Sequence[Tool], rarity: Rarity | None
) -> float | None:
    """How likely the first call goes to the medical retriever; null when no policy is configured.
    Raises ConfigError when the agent has not both tools."""
    if agent.tool_policy is None:
        return None
    missing = [one for one in (MEDICAL, GENERAL) if one not in {tool.name for tool in tools}]
    if missing:
        raise ConfigError(
            f"agent.tool_policy chooses between {MEDICAL} and {GENERAL}: add {', '.join(missing)} to "
            "agent.tools, or leave agent.tool_policy out"
        )
    return float(
        load_tool_policy(agent.tool_policy).probabilities([features_of(question, (), rarity)])[0]
    )
