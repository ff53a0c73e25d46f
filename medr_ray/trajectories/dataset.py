"""Dialogues as training examples: token ids, and a loss mask over the tokens that are learnt."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from medr_ray.agent.protocol import parse_reply
from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import DataError
from medr_ray.core.records import Message
from medr_ray.core.run import Directory
from medr_ray.engines.chat import ChatRenderer
from medr_ray.engines.turn_format import list_special_tokens, read_stop_ids

SAMPLE_FILE = "sample.json"  # in the directory of the trajectories stage


class RowProblem(DataError):
    """What is wrong with a row: the field, the problem and its remedy."""

    def __init__(self, field_name: str, problem: str, remedy: str) -> None:
        super().__init__(f"{field_name}: {problem}; {remedy}")
        self.field = field_name
        self.problem = problem
        self.remedy = remedy

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are unpickled from their message alone, which does not fit __init__ here.
        return RowProblem, (self.field, self.problem, self.remedy)


@dataclass(frozen=True)
class Dialogue:
    """A dialogue to learn from, in the text protocol.

    ``group`` is what an evaluation split keeps on one side: the question, where that is given.
    ``without_loss`` are the numbers of the messages that are only read. ``weight`` is that of each
    learnt token, and an epoch takes the dialogue ``copies`` times.
    """

    dialogue_id: str
    group: str
    messages: tuple[Message, ...]
    without_loss: frozenset[int] = frozenset()
    weight: float = 1.0
    copies: int = 1


@dataclass(frozen=True)
class DialogueExample:
    """One dialogue. ``ids`` and ``mask`` have the same length; the loss is taken where the mask is
    true, ``weight`` times."""

    dialogue_id: str
    ids: tuple[int, ...]
    mask: tuple[bool, ...]
    weight: float = 1.0


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

    def __init__(self, tokenizer: Any, stop_ids: Sequence[int] = ()) -> None:
        self._tokenizer = tokenizer
        self._renderer = ChatRenderer(tokenizer, stop_ids)
        self._control_tokens = list_special_tokens(tokenizer)

    @classmethod
    def open(cls, config: PipelineConfig) -> "DialogueEncoder":
        """The encoder with the tokenizer of ``models.policy``."""
        # transformers takes seconds to import.
        from transformers import AutoTokenizer

        from medr_ray.engines.weights import model_path

        folder = model_path(config.models.policy)
        tokenizer = AutoTokenizer.from_pretrained(
            folder, trust_remote_code=config.models.trust_remote_code
        )
        return cls(tokenizer, read_stop_ids(folder))

    def encode_dialogue(self, dialogue: Dialogue) -> DialogueExample:
        """The token ids of a dialogue, and what is learnt of it. Raises RowProblem for one that the
        chat template cannot write, or whose text would be read as the template's control tokens."""
        self._refuse_control_tokens(dialogue.messages)
        try:
            ids, mask = self._encode(dialogue.messages, dialogue.without_loss)
        except Exception as error:  # jinja's errors, and any of Python's that a template runs into
            reason = " ".join(str(error).split())
            remedy = "change the order of its roles, or take another model"
            raise RowProblem("messages", f"do not fit the model ({reason})", remedy) from None
        return DialogueExample(dialogue.dialogue_id, tuple(ids), tuple(mask), dialogue.weight)

    def decode_runs(self, example: DialogueExample) -> list[tuple[str, bool]]:
        """The text of an example in runs of tokens that are learnt or only read."""
        runs: list[tuple[list[int], bool]] = []
        for token_id, is_learnt in zip(example.ids, example.mask, strict=True):
            if not runs or runs[-1][1] != is_learnt:
                runs.append(([], is_learnt))
            runs[-1][0].append(token_id)
        return [(str(self._tokenizer.decode(ids)), is_learnt) for ids, is_learnt in runs]

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """The number of tokens of the whole dialogue."""
        return len(self._encode(messages, frozenset())[0])

    @property
    def pad_id(self) -> int:
        """A token to fill up short sequences with; the mask hides it."""
        return self._renderer.end_id

    @property
    def stop_ids(self) -> frozenset[int]:
        """The tokens that end a reply of the model, with the end that it is taught."""
        return self._renderer.stop_ids

    def _encode(
        self, messages: Sequence[Message], without_loss: frozenset[int]
    ) -> tuple[list[int], list[bool]]:
        return self._renderer.encode_dialogue(
            [{"role": message.role, "content": message.content} for message in messages],
            without_loss,
            learn_from=("system", "user", "assistant"),
        )

    def _refuse_control_tokens(self, messages: Sequence[Message]) -> None:
        for number, message in enumerate(messages):
            token = next((token for token in self._control_tokens if token in message.content), "")
            if token:
                raise RowProblem(
                    f"messages[{number}].content",
                    f"holds {token}, a control token of the model",
                    "give the plain text: the chat template writes these",
                )


def read_copies(trajectories: Directory) -> dict[str, int]:
    """How often training takes each accepted dialogue, as the trajectories stage sampled them."""
    copies: dict[str, int] = trajectories.read_json(SAMPLE_FILE)
    return copies
