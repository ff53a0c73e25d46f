"""A model's tokenizer, chat template and context length: requests become token ids here.

What a client writes in a message is text: a control token of the chat template that stands in it
("<|im_end|>") is read letter by letter and ends nothing. Messages without one become the ids that
training gives the same dialogue.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from medr_ray.agent.untrusted_text import TAGS
from medr_ray.core.json_text import parse_json
from medr_ray.engines.chat import ChatRenderer
from medr_ray.engines.constraints import ConstraintCompiler
from medr_ray.engines.turn_format import list_special_tokens, read_stop_ids
from medr_ray.serving.token_texts import TokenTexts

# Bytes of a name that no client can guess and no template changes.
_PLACEHOLDER_BYTES = 12


class PromptEncoder:
    """The encoder of a model directory; ``context`` and ``vocabulary`` are numbers of tokens."""

    def __init__(self, directory: Path, trust_remote_code: bool = False) -> None:
        from transformers import AutoTokenizer

        self.tokenizer: Any = AutoTokenizer.from_pretrained(
            directory, trust_remote_code=trust_remote_code
        )
        self._renderer = ChatRenderer(self.tokenizer, read_stop_ids(directory))
        self.stop_ids = self._renderer.stop_ids
        settings = directory / "config.json"
        # Infinity stands in the settings of some architectures.
        model_config = parse_json(settings.read_bytes(), str(settings), finite=False)
        # Not every architecture states it. A tokenizer that has no limit says about 1e30, which
        # then stands for none.
        context = model_config.get("max_position_embeddings") or self.tokenizer.model_max_length
        self.context = int(context)
        self.vocabulary = int(model_config.get("vocab_size") or len(self.tokenizer))
        # A template that knows tools reads the variable of that name.
        self.knows_tools = "tools" in str(getattr(self.tokenizer, "chat_template", "") or "")
        self._control_tokens = _list_control_tokens(self.tokenizer)

    @cached_property
    def token_texts(self) -> TokenTexts:
        """The texts of single tokens."""
        return TokenTexts(self.tokenizer)

    @cached_property
    def constraints(self) -> ConstraintCompiler:
        """The compiler of constraints on answers. Needs llguidance (see ``can_constrain``)."""
        return ConstraintCompiler(self.tokenizer, self.vocabulary)

    def encode_messages(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] = (),
    ) -> list[int]:
        """The prompt's token ids, ending where the assistant speaks. ``tools`` are for a template
        that knows them. Raises what the chat template raises."""
        texts = list(_iterate_texts([messages, tools]))
        used_tokens = [
            token for token in self._control_tokens if any(token in text for text in texts)
        ]
        places = {secrets.token_hex(_PLACEHOLDER_BYTES): token for token in used_tokens}
        if places:
            messages = _put_places(messages, places)
            tools = _put_places(tools, places)
        text = self._renderer.render_prompt(messages, tools)
        return self._encode_with_places(text, places)

    def encode_text(self, text: str) -> list[int]:
        """The ids of a prompt that is continued as it stands, control tokens included, with the
        tokens that the tokenizer begins every text with."""
        return list(self.tokenizer(text)["input_ids"])

    def decode_ids(self, ids: Sequence[int]) -> str:
        """The text of token ids, control tokens included."""
        return str(self.tokenizer.decode(list(ids)))

    def _encode_with_places(self, text: str, places: Mapping[str, str]) -> list[int]:
        """The ids of a rendered prompt, in which each place stands for the text of a control
        token."""
        ids: list[int] = []
        while text:
            positions = {text.find(place): place for place in places if place in text}
            start = min(positions, default=len(text))
            if start:
                ids += self._renderer.encode_text(text[:start])
            if positions:
                place = positions[start]
                ids += self._spell_token(places[place])
                start += len(place)
            text = text[start:]
        return ids

    def _spell_token(self, token: str) -> list[int]:
        """The ids of a control token's letters. Raises ValueError for a tokenizer that has none."""
        encoded = self.tokenizer(token, add_special_tokens=False, split_special_tokens=True)
        ids = list(encoded["input_ids"])
        if self.tokenizer.convert_tokens_to_ids(token) in ids:
            raise ValueError(f"the text of a message must not hold the control token {token}")
        return ids


def _iterate_texts(value: Any) -> Iterator[str]:
    """Every text in a structure of lists and mappings, but for the keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _iterate_texts(part)
    elif isinstance(value, Sequence):
        for part in value:
            yield from _iterate_texts(part)


def _put_places(value: Any, places: Mapping[str, str]) -> Any:
    """The structure with the places in its texts instead of their tokens."""
    if isinstance(value, str):
        for place, token in places.items():
            value = value.replace(token, place)
        return value
    if isinstance(value, Mapping):
        return {key: _put_places(part, places) for key, part in value.items()}
    if isinstance(value, Sequence):
        return [_put_places(part, places) for part in value]
    return value


def _list_control_tokens(tokenizer: Any) -> list[str]:
    """The texts of the tokenizer's control tokens, the longest first. The tags of the agent's
    protocol are none: the model reads and writes them in messages."""
    tags = {f"<{slash}{tag}>" for tag in TAGS for slash in ("", "/")}
    return [token for token in list_special_tokens(tokenizer) if token not in tags]
