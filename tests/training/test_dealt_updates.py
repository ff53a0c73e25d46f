"""An update whose workers are each given their own examples alone: real processes over gloo,
without Ray."""

import pickle
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from support.dealt_work import draw_rollouts, learn_dealt
from support.tiny_model import build_tiny_model
from support.worker_gang import run_gang

from medr_ray.training.dealing import deal_rollouts

TOLERANCE = 1e-5  # of the gradient's norm, in float32


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_model(tmp_path_factory.mktemp("model"), context=1024)


@cache
def learn_alone(model: Path) -> dict[str, Any]:
    (result,) = run_gang(1, learn_dealt, model, False)
    return result


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "tree"), [(2, False), (2, True), (4, False), (4, True)])
def test_workers_with_their_own_examples_learn_what_one_learns_from_all(
    model: Path, workers: int, tree: bool
) -> None:
    alone = learn_alone(model)
    results = run_gang(workers, learn_dealt, model, tree)
    assert sum(result["own"] for result in results) == alone["figures"]["sequences"] == 8
    for result in results:
        assert result["figures"] == {
            name: value if value is None else pytest.approx(value, rel=1e-3, abs=1e-5)
            for name, value in alone["figures"].items()
        }
        for count in ("tokens", "sequences", "sequence_tokens"):
            assert result["figures"][count] == alone["figures"][count]
        differences = torch.cat(
            [
                (value - alone["gradients"][name]).flatten()
                for name, value in result["gradients"].items()
            ]
        )
        norm = alone["figures"]["grad_norm"]
        assert float(differences.norm()) < TOLERANCE * norm


def test_what_is_sent_has_each_token_of_a_dialogue_once() -> None:
    """A rollout has the tokens before each of its turns once more."""
    rollouts = draw_rollouts()
    dealt = deal_rollouts(rollouts, 2)
    tokens = [
        len(turn.prompt_ids) + len(turn.output_ids)
        for rollout in rollouts
        for turn in rollout.trajectory.turns
    ]
    assert sum(len(example.ids) for part in dealt for example in part.own) < sum(tokens) / 2
    assert sum(len(pickle.dumps(part)) for part in dealt) < len(pickle.dumps(rollouts))
