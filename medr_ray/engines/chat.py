"""Dialogues as token ids, in the same way for rollouts and for training.

Guaranteed: the ids of a dialogue are the ids of its first prompt, then for each assistant turn the
sampled (or encoded) ids and the ids of the bridge to the next turn. The tokens a model is trained
on are therefore the tokens it saw and sampled. Rendering the decoded text again could give others.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

# Stands for an assistant turn when a bridge is rendered; no template changes such a text.
_PROBE = "assistant-probe"
ChatMessages = Sequence[Mapping[str, str]]


class ChatRenderer:
    """Renders messages with a tokenizer's chat template.

    Raises ValueError where the template does not keep an assistant message's text as it is (a
    template that rewrites earlier turns cannot be trained on turn by turn).
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.end_id: int = tokenizer.eos_token_id

    def encode_prompt(self, messages: ChatMessages) -> list[int]:
        """The prompt of the first assistant turn."""
        return self.encode_text(self.render_prompt(messages))

    def render_prompt(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] = ()
    ) -> str:
        """The text of ``encode_prompt``; with ``tools`` as a template that knows them words
        them."""
        return self._render_messages(messages, generation=True, tools=tools)

    def encode_bridge(self, replies: ChatMessages) -> list[int]:
        """The ids between an assistant turn's end-of-turn token and the next assistant turn.

        ``replies`` are the messages in between (tool results).
        """
        return self.encode_text(
            # Templates expect a user's turn first. Its text is in front of the probe and so not in
            # the bridge.
            self._render_after_probe([{"role": "user", "content": "q"}], replies)
        )

    def encode_dialogue(
        self, messages: ChatMessages, without_loss: Collection[int] = ()
    ) -> tuple[list[int], list[bool]]:
        """(ids, loss mask) of a whole dialogue, of equal length.

        The mask is true on the assistant's tokens and on their end-of-turn tokens, but for the
        messages of the numbers ``without_loss``.
        """
        first = next(i for i, message in enumerate(messages) if message["role"] == "assistant")
        ids = self.encode_prompt(messages[:first])
        mask = [False] * len(ids)
        index = first
        while index < len(messages):
            # Encoded by itself, as a turn is sampled: a tokenizer may merge letters across the
            # turn's edges when it sees the whole text.
            own = [*self.encode_text(messages[index]["content"]), self.end_id]
            following = index + 1
            while following < len(messages) and messages[following]["role"] != "assistant":
                following += 1
            is_last = following == len(messages)
            between = [] if is_last else self.encode_bridge(messages[index + 1 : following])
            ids += own + between
            mask += [index not in without_loss] * len(own) + [False] * len(between)
            index = following
        return ids, mask

    def _render_after_probe(self, before: ChatMessages, replies: ChatMessages) -> str:
        text = self._render_messages(
            [*before, {"role": "assistant", "content": _PROBE}, *replies], generation=True
        )
        _, probe, tail = text.partition(_PROBE)
        if not probe:
            raise ValueError(
                "the chat template drops earlier assistant turns: it cannot be used for training"
            )
        # The end-of-turn token belongs to the assistant's turn: it is sampled, not rendered.
        return tail.removeprefix(self.tokenizer.eos_token)

    def _render_messages(
        self,
        messages: Sequence[Mapping[str, Any]],
        generation: bool,
        tools: Sequence[Mapping[str, Any]] = (),
    ) -> str:
        return self.tokenizer.apply_chat_template(
            list(messages),
            # None and not an empty list, which templates may word as "no tools".
            tools=list(tools) or None,
            tokenize=False,
            add_generation_prompt=generation,
        )

    def encode_text(self, text: str) -> list[int]:
        """The ids of a text in which the control tokens are those of the template."""
        # The template writes the special tokens already; the tokenizer would put more around the
        # text.
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
