"""The tool-selection policy P(medical retriever | s, q) = σ(wᵀφ(s, q)) (paper section 2.2), kept as
JSON.

With two tools the paper's two sigmoids carry the same information, so there is one. A feature that
is missing (NaN) counts as its mean. The policy is fitted from what agents did (``tool_fitting``).
The prompt states it as a prior; it never overrides the agent.
"""

import functools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from medr_ray.agent.tool_features import FEATURES, GENERAL, MEDICAL, Rarity, extract_features
from medr_ray.core.config import AgentConfig
from medr_ray.core.errors import ConfigError, DataError
from medr_ray.core.files import locate_file
from medr_ray.core.json_text import parse_json
from medr_ray.core.records import from_row
from medr_ray.tools.base import Tool


@dataclass(frozen=True)
class ToolPolicy:
    """The weights w, in units of the standardised features.

    ``calls`` is how many choices it was fitted on, ``share`` the share of them that went to the
    medical retriever.
    """

    features: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float
    l2: float
    calls: int
    share: float

    def medical_probabilities(self, features: Sequence[Sequence[float]]) -> np.ndarray:
        """The probability that the next call goes to the medical retriever, one for each row of
        (n, features)."""
        z = standardise(np.asarray(features, float), self.mean, self.scale)
        margin = z @ np.array(self.weights) + self.bias
        return 0.5 * (1 + np.tanh(0.5 * margin))  # σ in a form that does not overflow

    def save(self, uri: str) -> None:
        """Write it as JSON to a path or URI."""
        fs, path = locate_file(uri)
        with fs.open_output_stream(path) as stream:
            stream.write(f"{json.dumps(asdict(self), indent=1)}\n".encode())


def standardise(
    features: np.ndarray,
    mean: Sequence[float] | np.ndarray,
    scale: Sequence[float] | np.ndarray,
) -> np.ndarray:
    """(features - mean) / scale, and 0 for what is missing."""
    # 0 is the mean of a standardised feature.
    z = (features - np.asarray(mean)) / np.asarray(scale)
    return np.where(np.isnan(z), 0.0, z)


@functools.cache
def load_tool_policy(uri: str) -> ToolPolicy:
    """A saved policy, read once per process. Raises ConfigError that names the file and the
    remedy."""
    fs, path = locate_file(uri)
    try:
        with fs.open_input_stream(path) as stream:
            policy = from_row(ToolPolicy, parse_json(stream.read(), uri))
    except (OSError, ValueError, TypeError, DataError) as error:
        raise ConfigError(f"agent.tool_policy: {uri} is no fitted tool policy: {error}") from error
    # Weights of an earlier version would be multiplied with the wrong features.
    if policy.features != FEATURES:
        raise ConfigError(
            f"agent.tool_policy: {uri} was fitted on other features "
            f"({', '.join(policy.features)}): fit it again, on {', '.join(FEATURES)}"
        )
    return policy


def medical_prior(
    agent: AgentConfig, question: str, tools: Sequence[Tool], rarity: Rarity | None
) -> float | None:
    """The probability that the first call goes to the medical retriever; null when no policy is
    configured. Raises ConfigError when the agent has not both tools."""
    if agent.tool_policy is None:
        return None
    available = {tool.name for tool in tools}
    missing = [name for name in (MEDICAL, GENERAL) if name not in available]
    if missing:
        raise ConfigError(
            f"agent.tool_policy chooses between {MEDICAL} and {GENERAL}: add {', '.join(missing)} "
            "to agent.tools, or leave agent.tool_policy out"
        )
    policy = load_tool_policy(agent.tool_policy)
    features = extract_features(question, (), rarity)  # (): before the first call
    return float(policy.medical_probabilities([features])[0])
