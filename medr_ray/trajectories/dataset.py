"""Accepted trajectories as training examples: token ids and the loss mask of the assistant's
tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medr_ray.core.config import PipelineConfig
from medr_ray.core.records import FilteredTrajectory, Message
from medr_ray.core.run import Directory
from medr_ray.engines.chat import ChatRenderer

SAMPLE = "sample.json"  # in the trajectories stage's directory


@dataclass(frozen=True)
class Example:
    """One dialogue: ``ids`` and ``mask`` of equal length; the mask is true where the loss is
    taken."""

    trajectory_id: str
    ids: tuple[int, ...]
    mask: tuple[bool, ...]


class DialogueEncoder:
    """Encodes dialogues the way rollouts see them."""

    def __init__(self, tokenizer: Any) -> None:
        self._renderer = ChatRenderer(tokenizer)

    @classmethod
    def open(cls, config: PipelineConfig) -> "DialogueEncoder":
        """With the tokenizer of ``models.policy``."""
        from transformers import AutoTokenizer

        from medr_ray.engines.weights import model_path

        return cls(
            AutoTokenizer.from_pretrained(
                model_path(config.models.policy), trust_remote_code=config.models.trust_remote_code
            )
        )

    def encode(self, trajectory_id: str, messages: Sequence[Message]) -> Example:
        ids, mask = self._renderer.encode_dialogue(
            [{"role": m.role, "content": m.content} for m in messages]
        )
        return Example(trajectory_id, tuple(ids), tuple(mask))

    def length(self, messages: Sequence[Message]) -> int:
        """Tokens of the whole dialogue."""
        return len(self.encode("", messages).ids)


def training_examples(
    judged: Sequence[FilteredTrajectory],
    encoder: DialogueEncoder,
    limit: int,
    copies: Mapping[str, int] | None = None,
) -> list[Example]:
    """The accepted dialogues of at most ``limit`` tokens, in the order of their trajectory ids,
    each as often as ``copies`` says by trajectory id (see ``specialty_sampling`` and
    ``read_copies``), once without it."""
    accepted = sorted(
        (entry.trajectory for entry in judged if entry.accepted),
        key=lambda trajectory: trajectory.trajectory_id,
    )
    examples = [
        encoder.encode(trajectory.trajectory_id, trajectory.messages) for trajectory in accepted
    ]
    return [
        example
        for example in examples
        if len(example.ids) <= limit
        for _ in range(1 if copies is None else copies.get(example.trajectory_id, 0))
    ]


def read_copies(trajectories: Directory) -> dict[str, int]:
    """How often training takes each accepted dialogue, as the trajectories stage sampled them."""
    copies: dict[str, int] = trajectories.read_json(SAMPLE)
    return copies
