"""How a chat template writes an assistant's turn, found out by rendering short dialogues.

A template is a program, and what a tokenizer calls its end of text need not be what the template
ends a turn with. So the end is read from what the template renders behind an assistant's text. A
template whose turns cannot be put together token by token is refused with what is wrong with it.

What is read are the templates of Qwen2.5 (base and instruct), Qwen3 and DeepSeek-R1 with thoughts,
Llama 2 and 3, Gemma, Mistral, SmolLM2 and those like them (``tests/engines/test_chat_templates``).
Templates that put a channel in front of a reply (gpt-oss) are refused.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from medr_ray.core.errors import ConfigError
from medr_ray.core.json_text import parse_json

# Stands for a message's text when a template is looked into; no template changes such a text.
PROBE = "assistant-probe"
_SYSTEM_PROBE = "system-probe"
_USER = {"role": "user", "content": "q"}
_ASSISTANT = {"role": "assistant", "content": PROBE}
# At the end of a generation prompt: a thought that the model goes on with, or an empty one.
_PROMPTED_THOUGHT = re.compile(r"<think>\s*(</think>\s*)?\Z")
_EMPTY_THOUGHT = re.compile(r"<think>\s*</think>")
# Marks of the families that have no system message and whose own convention is to put its text in
# front of the first question, with a blank line between (Gemma 3's and Mistral's later templates do
# so themselves).
_FOLDING_MARKS = ("<start_of_turn>", "[INST]")
_GENERATION_SETTINGS = "generation_config.json"
# Characters. A shorter control token could be a word or a sign, and is left to be one.
_SHORTEST_CONTROL_TOKEN = 3
_SHORT_TEXT = 60  # characters of a template's text in an error
# What a tokenizer has to give back: the tags of the agent's protocol, JSON, line breaks, Greek.
_ROUND_TRIP_TEXT = (
    "<think>TNF-α rises by 5 µg\n\n  – see [1]</think>\n"
    '<tool_call>{"name": "search", "arguments": {"query": "β-blocker"}}</tool_call>\n'
    "<tool_response>50 %</tool_response>\n<answer>Krabbe disease</answer>"
)

ChatMessages = Sequence[Mapping[str, Any]]
# What a template does with a system message; folded: its text is put in front of the first
# question here, by ``fold_system_message``.
SystemHandling = Literal["rendered", "folded", "refused"]


class UnfitTemplate(ConfigError):
    """A chat template, or a tokenizer, that gives no right tokens; the message says why."""


@dataclass(frozen=True)
class TurnFormat:
    """How an assistant's turn begins and ends.

    ``end_text`` is the control token behind an assistant's text and ``end_id`` its id: what the
    model is trained to sample at the end of a turn. ``opened_thought`` is the mark, with the white
    space behind it, with which a generation prompt begins the reply's thought ("<think>" and a line
    break); "" where the reply begins it.
    """

    end_text: str
    end_id: int
    opened_thought: str = ""


def render_messages(
    tokenizer: Any,
    messages: ChatMessages,
    generation: bool,
    tools: Sequence[Mapping[str, Any]] = (),
) -> str:
    """The text of the tokenizer's chat template; with ``generation`` up to where the assistant
    speaks. Raises what the template raises."""
    return str(
        tokenizer.apply_chat_template(
            list(messages),
            # None and not an empty list, which templates may word as "no tools".
            tools=list(tools) or None,
            tokenize=False,
            add_generation_prompt=generation,
        )
    )


def encode_text(tokenizer: Any, text: str) -> list[int]:
    """The ids of a text in which the control tokens are those of the template."""
    # The template writes the special tokens already; the tokenizer would put more around the text.
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def list_special_tokens(tokenizer: Any) -> list[str]:
    """The texts of the tokenizer's control tokens, the longest first."""
    added = getattr(tokenizer, "added_tokens_decoder", {}).values()
    tokens = {str(token) for token in added if token.special}
    tokens.update(map(str, getattr(tokenizer, "all_special_tokens", ())))
    special = (token for token in tokens if len(token) >= _SHORTEST_CONTROL_TOKEN)
    return sorted(special, key=lambda token: (-len(token), token))


def read_turn_format(tokenizer: Any) -> TurnFormat:
    """The format of the tokenizer's chat template. Raises UnfitTemplate."""
    prompt = _render(tokenizer, [_USER], generation=True)
    whole = _render(tokenizer, [_USER, _ASSISTANT], generation=False)
    dialogue = _render(tokenizer, [_USER, _ASSISTANT, _USER], generation=True)
    start = _find_probe(whole)
    _find_probe(dialogue)
    prompted_thought = _PROMPTED_THOUGHT.search(prompt)
    opening = prompt[: prompted_thought.start()] if prompted_thought else prompt
    _check_opening(opening, whole[:start])
    tokens = _list_control_tokens(tokenizer)
    end_text = _find_end(dialogue.partition(PROBE)[2], tokens)
    last_end_text = _find_end(whole[start + len(PROBE) :], tokens)
    if end_text is None:
        tail = dialogue.partition(PROBE)[2].lstrip()[:_SHORT_TEXT]
        raise UnfitTemplate(
            f"the chat template ends an assistant's turn with {tail!r}, which is no control token "
            "of the tokenizer: the model could not end its turn"
        )
    if last_end_text not in (None, end_text):
        raise UnfitTemplate(
            f"the chat template ends an assistant's last turn with {last_end_text} and earlier "
            f"ones with {end_text}: the tokens of a turn would change when the dialogue goes on"
        )
    ids = encode_text(tokenizer, end_text)
    if len(ids) != 1:
        raise UnfitTemplate(f"the tokenizer splits the end of a turn, {end_text}, into {len(ids)}")
    is_open = prompted_thought is not None and prompted_thought[1] is None
    opened_thought = prompted_thought[0] if prompted_thought is not None and is_open else ""
    return TurnFormat(end_text, ids[0], opened_thought)


def read_system_handling(tokenizer: Any) -> SystemHandling:
    """What the chat template does with a system message at the beginning of a dialogue."""
    messages = [{"role": "system", "content": _SYSTEM_PROBE}, _USER]
    try:
        text = render_messages(tokenizer, messages, generation=True)
    except Exception:  # a template's own refusal is one of jinja's errors, or any of Python's
        text = ""
    if _SYSTEM_PROBE in text:
        return "rendered"
    template = str(getattr(tokenizer, "chat_template", None) or "")
    is_folding = any(mark in template for mark in _FOLDING_MARKS)
    return "folded" if is_folding else "refused"


def fold_system_message(messages: ChatMessages) -> list[Mapping[str, Any]]:
    """The messages with the text of a leading system message in front of the first question."""
    if not messages or messages[0]["role"] != "system":
        return list(messages)
    system, *others = messages
    if not others or others[0]["role"] != "user":
        return [{**system, "role": "user"}, *others]
    content = f"{system['content']}\n\n{others[0]['content']}"
    return [{**others[0], "content": content}, *others[1:]]


def read_stop_ids(model_dir: Path) -> tuple[int, ...]:
    """The token ids that end a reply by the model's own settings: ``eos_token_id`` of
    generation_config.json, else of config.json; none where neither says so."""
    for name in (_GENERATION_SETTINGS, "config.json"):
        path = model_dir / name
        if not path.is_file():
            continue
        # Infinity stands in the settings of some architectures.
        ends = parse_json(path.read_bytes(), str(path), finite=False).get("eos_token_id")
        if isinstance(ends, int):
            return (ends,)
        if ends:
            return tuple(ends)
    return ()


def write_stop_ids(model_dir: Path, stop_ids: Collection[int]) -> None:
    """Add the token ids that end a reply to the model's generation_config.json, where it lacks some
    of them, for other programs that serve it."""
    path = model_dir / _GENERATION_SETTINGS
    named = set(read_stop_ids(model_dir))
    if named >= set(stop_ids):
        return
    settings = parse_json(path.read_bytes(), str(path), finite=False) if path.is_file() else {}
    settings["eos_token_id"] = sorted(named | set(stop_ids))
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)


def find_template_problems(tokenizer: Any, with_system: bool = True) -> list[str]:
    """What keeps a model's dialogues from being put together as right tokens; ``with_system``: its
    dialogues have a system message, as an agent's have."""
    try:
        turn = read_turn_format(tokenizer)
    except UnfitTemplate as error:
        return [str(error)]
    problems = []
    if with_system and read_system_handling(tokenizer) == "refused":
        problems.append(
            "the chat template has no system message, and nothing says where its text would stand: "
            "add it to the template (chat_template.jinja)"
        )
    # As the engine decodes a reply: without special tokens.
    ids = encode_text(tokenizer, _ROUND_TRIP_TEXT)
    text = str(tokenizer.decode(ids, skip_special_tokens=True))
    if text.strip() != _ROUND_TRIP_TEXT:
        position = next(
            (
                index
                for index, (expected, read) in enumerate(
                    zip(_ROUND_TRIP_TEXT, text.strip(), strict=False)
                )
                if expected != read
            ),
            min(len(_ROUND_TRIP_TEXT), len(text.strip())),
        )
        problems.append(
            "the tokenizer does not give back the text that it encodes: "
            f"{_ROUND_TRIP_TEXT[position : position + _SHORT_TEXT]!r} became "
            f"{text.strip()[position : position + _SHORT_TEXT]!r}"
        )
    if turn.end_id in ids:
        problems.append(f"the tokenizer reads {turn.end_text} in a text that does not hold it")
    return problems


def _render(tokenizer: Any, messages: ChatMessages, generation: bool) -> str:
    try:
        return render_messages(tokenizer, messages, generation)
    except Exception as error:  # jinja's errors, and any of Python's that a template runs into
        reason = str(error).strip().splitlines()
        raise UnfitTemplate(
            f"the chat template cannot write a question and a reply ({' '.join(reason[:1])}): take "
            "a model with a chat template, or add chat_template.jinja to its directory"
        ) from error


def _find_probe(text: str) -> int:
    """Where the assistant's text stands, which must be there once."""
    if text.count(PROBE) != 1:
        raise UnfitTemplate(
            "the chat template drops or repeats the text of an assistant's turn: it cannot be "
            "used for training"
        )
    return text.index(PROBE)


def _check_opening(opening: str, before: str) -> None:
    """Raise UnfitTemplate where a turn begins in another way than its generation prompt says.
    ``opening`` is the prompt without a thought, ``before`` what a dialogue has up to the reply."""
    lead = before[len(opening) :]
    # Templates may write an empty thought in front of a reply that has none.
    if before.startswith(opening) and not _EMPTY_THOUGHT.sub("", lead).strip():
        return
    if before.startswith(opening):
        raise UnfitTemplate(
            f"the chat template writes {lead[:_SHORT_TEXT]!r} in front of an assistant's text, "
            "which its generation prompt lacks: a trained model would not write it"
        )
    raise UnfitTemplate(
        "the chat template begins an assistant's turn in another way than its generation prompt "
        f"({opening[-_SHORT_TEXT:]!r}): a trained model would see other tokens"
    )


def _list_control_tokens(tokenizer: Any) -> list[str]:
    """The texts of the tokens that no ordinary text is encoded as, the longest first."""
    added = getattr(tokenizer, "added_tokens_decoder", {}).values()
    tokens = {str(token) for token in added}
    tokens.update(map(str, getattr(tokenizer, "all_special_tokens", ())))
    return sorted(filter(str.strip, tokens), key=lambda token: (-len(token), token))


def _find_end(tail: str, tokens: Sequence[str]) -> str | None:
    """The control token that ``tail``, the text behind a reply, begins with."""
    # Llama 2 writes a space between a reply and its end.
    start = tail.lstrip()
    return next((token for token in tokens if start.startswith(token)), None)
