"""Dialogues as token ids, in the same way for rollouts, for training and for serving.

Guaranteed:

- The ids of a dialogue are the ids of its first prompt, then for each assistant turn the sampled
  (or encoded) ids and the ids of the bridge to the next turn. The tokens a model is trained on are
  therefore the tokens it saw and sampled. Rendering the decoded text again could give others.
- A turn is trained up to the token with which the chat template ends an assistant's turn
  (``engines.turn_format``), and a sampled turn ends there and at every other end that the model's
  settings name.
- Earlier turns stay as they were sampled, thoughts included, also where a template would drop the
  thoughts of earlier turns (Qwen3): an agent reads its own thoughts again in every rollout.
- Where the generation prompt begins the thought itself, the reply's own mark is not written again,
  and a reply without a thought closes it at once.
- A system message of a template without one is put in front of the first question where its family
  has that convention (Gemma, Mistral); otherwise the dialogue is refused.
"""

from collections.abc import Collection, Mapping, Sequence, Set
from functools import cached_property
from typing import Any

from medr_ray.engines.turn_format import (
    PROBE,
    ChatMessages,
    SystemHandling,
    TurnFormat,
    UnfitTemplate,
    encode_text,
    fold_system_message,
    read_system_handling,
    read_turn_format,
    render_messages,
)

_THOUGHT_OPENING = "<think>"
_THOUGHT_CLOSING = "</think>"
# Templates expect a user's turn first. Its text is in front of the probe and so not in the bridge.
_FIRST_QUESTION = {"role": "user", "content": "q"}


class ChatRenderer:
    """Renders messages with a tokenizer's chat template. ``stop_ids`` are token ids that end a
    reply besides the template's own end (see ``read_stop_ids``).

    What needs the format of a turn raises UnfitTemplate where the template has none that can be
    put together token by token.
    """

    def __init__(self, tokenizer: Any, stop_ids: Collection[int] = ()) -> None:
        self.tokenizer = tokenizer
        self._stop_ids = frozenset(stop_ids)

    @cached_property
    def turn(self) -> TurnFormat:
        """How an assistant's turn begins and ends. Raises UnfitTemplate."""
        return read_turn_format(self.tokenizer)

    @property
    def end_id(self) -> int:
        """The token that ends an assistant's turn. Raises UnfitTemplate."""
        return self.turn.end_id

    @cached_property
    def stop_ids(self) -> frozenset[int]:
        """All tokens that end a reply: the template's end, the tokenizer's end of text, and those
        of the model's settings. A template without an end that can be found has the others."""
        stops = set(self._stop_ids)
        if self.tokenizer.eos_token_id is not None:
            stops.add(int(self.tokenizer.eos_token_id))
        try:
            stops.add(self.end_id)
        except UnfitTemplate:
            # Such a model cannot be trained, but it may be served.
            return frozenset(stops)
        return frozenset(stops)

    def encode_prompt(self, messages: ChatMessages) -> list[int]:
        """The prompt of the first assistant turn. Raises UnfitTemplate for a system message that
        the template has no place for."""
        self._require_system(messages)
        return self.encode_text(self.render_prompt(messages))

    def render_prompt(self, messages: ChatMessages, tools: Sequence[Mapping[str, Any]] = ()) -> str:
        """The text of ``encode_prompt``; with ``tools`` as a template that knows them words
        them."""
        return render_messages(self.tokenizer, self._fold(messages), generation=True, tools=tools)

    def encode_bridge(self, replies: ChatMessages) -> list[int]:
        """The ids between an assistant turn's end-of-turn token and the next assistant turn.

        ``replies`` are the messages in between (tool results).
        """
        return self.encode_text(self._render_bridge(replies))

    def encode_reply(self, text: str) -> list[int]:
        """The ids of an assistant's turn up to its end, as they are sampled behind its prompt."""
        return [*self.encode_text(self._drop_prompted_thought(text)), self.end_id]

    def complete_reply(self, text: str) -> str:
        """A sampled reply with the mark of its thought that the prompt wrote already."""
        return f"{self.turn.opened_thought}{text}"

    def encode_dialogue(
        self,
        messages: ChatMessages,
        without_loss: Collection[int] = (),
        learn_from: Collection[str] = ("assistant",),
    ) -> tuple[list[int], list[bool]]:
        """(ids, loss mask) of a whole dialogue, of equal length.

        The mask is true on the texts of the roles ``learn_from``, and with the assistant's texts on
        their end-of-turn tokens, but for the messages of the numbers ``without_loss``.
        """
        learnt = {
            number
            for number, message in enumerate(messages)
            if message["role"] in learn_from and number not in without_loss
        }
        first = next(
            number for number, message in enumerate(messages) if message["role"] == "assistant"
        )
        self._require_system(messages)
        numbers = range(first)
        ids, mask = self._mask_texts(
            self.render_prompt(messages[:first]), messages, numbers, learnt
        )
        index = first
        while index < len(messages):
            # Encoded by itself, as a turn is sampled: a tokenizer may merge letters across the
            # turn's edges when it sees the whole text.
            own = self.encode_reply(messages[index]["content"])
            ids += own
            mask += [index in learnt] * len(own)
            following = index + 1
            while following < len(messages) and messages[following]["role"] != "assistant":
                following += 1
            if following < len(messages):
                bridge = self._render_bridge(messages[index + 1 : following])
                numbers = range(index + 1, following)
                bridge_ids, bridge_mask = self._mask_texts(bridge, messages, numbers, learnt)
                ids += bridge_ids
                mask += bridge_mask
            index = following
        return ids, mask

    def encode_text(self, text: str) -> list[int]:
        """The ids of a text in which the control tokens are those of the template."""
        return encode_text(self.tokenizer, text)

    @cached_property
    def _system_handling(self) -> SystemHandling:
        return read_system_handling(self.tokenizer)

    def _require_system(self, messages: ChatMessages) -> None:
        has_system = bool(messages) and messages[0]["role"] == "system"
        if has_system and self._system_handling == "refused":
            raise UnfitTemplate(
                "the chat template has no system message: leave it out of the dialogue, or add it "
                "to the template (chat_template.jinja)"
            )

    def _fold(self, messages: ChatMessages) -> ChatMessages:
        has_system = bool(messages) and messages[0]["role"] == "system"
        if has_system and self._system_handling == "folded":
            return fold_system_message(messages)
        return messages

    def _render_bridge(self, replies: ChatMessages) -> str:
        dialogue = [_FIRST_QUESTION, {"role": "assistant", "content": PROBE}, *replies]
        text = render_messages(self.tokenizer, dialogue, generation=True)
        tail = text.partition(PROBE)[2]
        # The end-of-turn token belongs to the assistant's turn: it is sampled, not rendered.
        before, end, bridge = tail.partition(self.turn.end_text)
        if not end or before.strip():
            raise UnfitTemplate(
                "the chat template ends an assistant's turn in another way when other messages "
                "follow: it cannot be used for training"
            )
        return bridge

    def _drop_prompted_thought(self, text: str) -> str:
        """A reply without what its generation prompt has written already."""
        opened = self.turn.opened_thought
        if not opened:
            return text
        start = text.lstrip()
        if start.startswith(_THOUGHT_OPENING):
            thought = start.removeprefix(_THOUGHT_OPENING)
            # The prompt has the line break as well.
            return thought.removeprefix("\n") if opened.endswith("\n") else thought
        if _THOUGHT_CLOSING in text:
            return text  # it begins inside the thought
        # An empty thought, as the templates of Qwen and DeepSeek write it.
        before = "\n" if opened.endswith("\n") else "\n\n"
        return f"{before}{_THOUGHT_CLOSING}\n\n{text}"

    def _mask_texts(
        self, text: str, messages: ChatMessages, numbers: range, learnt: Set[int]
    ) -> tuple[list[int], list[bool]]:
        """(ids, loss mask) of a rendered text, in which the messages ``numbers`` stand: true on the
        tokens inside the texts of those that are ``learnt``."""
        if learnt.isdisjoint(numbers):
            ids = self.encode_text(text)
            return ids, [False] * len(ids)
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        spans = _find_texts(text, [(number, messages[number]["content"]) for number in numbers])
        learnt_spans = [span for number, span in spans.items() if number in learnt]
        mask = [
            any(start <= token_start and token_end <= end for start, end in learnt_spans)
            for token_start, token_end in encoded["offset_mapping"]
        ]
        return list(encoded["input_ids"]), mask


def _find_texts(text: str, contents: Sequence[tuple[int, str]]) -> dict[int, tuple[int, int]]:
    """[start, end) of each numbered content in a rendered text, in which they stand in order."""
    spans = {}
    position = 0
    for number, content in contents:
        # Some templates take off white space around a text.
        content = content.strip()
        start = text.find(content, position)
        if start < 0:
            raise UnfitTemplate(
                "the chat template changes the text of a message, so that it cannot be learnt from"
            )
        position = start + len(content)
        spans[number] = (start, position)
    return spans
