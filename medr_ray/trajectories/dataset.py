"""Accepted trajectories as training examples: token ids, and a loss mask over the agent's
tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medr_ray.agent.protocol import parse_reply
from medr_ray.core.config import PipelineConfig
from medr_ray.core.records import FilteredTrajectory, Message
from medr_ray.core.run import Directory
from medr_ray.engines.chat import ChatRenderer

SAMPLE_FILE = "sample.json"  # in the directory of the trajectories stage


@dataclass(frozen=True)
class DialogueExample:
    """One dialogue. ``ids`` and ``mask`` have the same length; the loss is taken where the mask is
    true."""

    trajectory_id: str
    ids: tuple[int, ...]
    mask: tuple[bool, ...]


def find_malformed_messages(messages: Sequence[Message]) -> frozenset[int]:
    """The numbers of the agent's messages that have a malformed call, or neither a call nor an
    answer."""
    numbers = set()
    for number, message in enumerate(messages):
        if message.role == "assistant":
            reply = parse_reply(message.content)
            if reply.answer is None and reply.problems:
                numbers.add(number)
    return frozenset(numbers)


class DialogueEncoder:
    """Encodes dialogues with the chat template that rollouts use."""

    def __init__(self, tokenizer: Any) -> None:
        self._renderer = ChatRenderer(tokenizer)

    @classmethod
    def open(cls, config: PipelineConfig) -> "DialogueEncoder":
        """The encoder with the tokenizer of ``models.policy``."""
        # transformers takes seconds to import.
        from transformers import AutoTokenizer

        from medr_ray.engines.weights import model_path

        tokenizer = AutoTokenizer.from_pretrained(
            model_path(config.models.policy), trust_remote_code=config.models.trust_remote_code
        )
        return cls(tokenizer)

    def encode(self, trajectory_id: str, messages: Sequence[Message]) -> DialogueExample:
        """The token ids of a dialogue; the mask covers the agent's messages, but for malformed
        ones, which an agent repaired and no model is to learn."""
        ids, mask = self._renderer.encode_dialogue(
            [{"role": message.role, "content": message.content} for message in messages],
            without_loss=find_malformed_messages(messages),
        )
        return DialogueExample(trajectory_id, tuple(ids), tuple(mask))

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """The number of tokens of the whole dialogue."""
        return len(self.encode("", messages).ids)


def build_training_examples(
    judged: Sequence[FilteredTrajectory],
    encoder: DialogueEncoder,
    max_tokens: int,
    copies: Mapping[str, int] | None = None,
) -> list[DialogueExample]:
    """The accepted dialogues of at most ``max_tokens`` tokens, in the order of their ids.

    ``copies`` gives how often to take each, by trajectory id (see ``specialty_sampling``). A
    dialogue that it lacks is left out; without ``copies`` each is taken once.
    """
    accepted = sorted(
        (entry.trajectory for entry in judged if entry.accepted),
        key=lambda trajectory: trajectory.trajectory_id,
    )
    examples = []
    for trajectory in accepted:
        # Training may allow fewer tokens than the filter did.
        example = encoder.encode(trajectory.trajectory_id, trajectory.messages)
        if len(example.ids) <= max_tokens:
            count = 1 if copies is None else copies.get(trajectory.trajectory_id, 0)
            examples += [example] * count
    return examples


def read_copies(trajectories: Directory) -> dict[str, int]:
    """How often training takes each accepted dialogue, as the trajectories stage sampled them."""
    copies: dict[str, int] = trajectories.read_json(SAMPLE_FILE)
    return copies
