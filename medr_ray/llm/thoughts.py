"""What a model thought, apart from what it says.

Models and servers deliver a thought in different forms: as ``<think>…</think>``; as a lone
``</think>``, where the chat template wrote the opening tag; in tags of their own; or in a field
beside the content (see ``completions``). All are read here, in time linear in the length of the
text. A tag that a closed thought names is text. A thought that is never closed ends with the text.
"""

import re
from dataclasses import dataclass

OPENING = "<think>"
CLOSING = "</think>"
# Tags of other models, each (opening, closing): Claude prompts and Hermes, Seed-OSS, Magistral,
# Kimi, Open Thoughts and Sky-T1.
_FOREIGN_TAGS = (
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
)
# OpenAI's harmony format, where a server does not parse it: channels of one message, of which
# "final" is what the user sees.
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w+)[^<]*<\|message\|>")
_CHANNEL_END = re.compile(r"<\|(?:end|return|call|start)\|>")


@dataclass(frozen=True)
class SplitReply:
    """A reply in two parts. ``thought`` is None where there is none; ``is_closed`` is false where
    the thought has no end, so that ``rest`` is empty."""

    thought: str | None
    rest: str
    is_closed: bool = True


def split_thought(text: str) -> SplitReply:
    """The thought of a reply, and all that it says besides."""
    text = use_think_tags(text)
    start = text.find(OPENING)
    end = text.find(CLOSING)
    if start == -1 and end == -1:
        return SplitReply(None, text)
    if end != -1 and (start == -1 or end < start):
        # The chat template wrote the opening tag.
        return SplitReply(text[:end].strip(), text[end + len(CLOSING) :])
    before = text[:start]
    if end == -1:
        return SplitReply(text[start + len(OPENING) :].strip(), before, is_closed=False)
    thought = text[start + len(OPENING) : end].strip()
    return SplitReply(thought, before + text[end + len(CLOSING) :])


def use_think_tags(text: str) -> str:
    """The text with its thought in ``<think>`` tags, where it begins with a thought in another
    model's. Tags further back are left: they may be quoted."""
    if OPENING in text or CLOSING in text:
        return text
    beginning = text.lstrip()
    if _CHANNEL.match(beginning.removeprefix("<|start|>assistant")):
        return _join_channels(beginning)
    for opening, closing in _FOREIGN_TAGS:
        if beginning[: len(opening)].lower() == opening.lower():
            rest = beginning[len(opening) :]
            end = rest.lower().find(closing.lower())
            if end == -1:
                return OPENING + rest
            return f"{OPENING}{rest[:end]}{CLOSING}{rest[end + len(closing) :]}"
    return text


def join_thought(thought: str, text: str) -> str:
    """A reply with ``thought`` in front, as the agent's protocol writes it. A thought that the text
    brings along stays the only one."""
    text = use_think_tags(text)
    if OPENING in text:
        return text
    if CLOSING in text:
        return OPENING + text.lstrip()
    thought = thought.strip()
    if not thought:
        return text
    # A closing tag in the thought would end it too early.
    thought = thought.replace(CLOSING, "").replace(OPENING, "")
    return f"{OPENING}{thought}{CLOSING}\n{text}".rstrip()


def _join_channels(text: str) -> str:
    """The channels of a harmony message: "analysis" and "commentary" are the thought."""
    thoughts: list[str] = []
    final: list[str] = []
    position = 0
    while match := _CHANNEL.search(text, position):
        end = _CHANNEL_END.search(text, match.end())
        position = end.start() if end else len(text)
        content = text[match.end() : position].strip()
        (final if match.group(1) == "final" else thoughts).append(content)
    return f"{OPENING}{' '.join(thoughts)}{CLOSING}\n{' '.join(final)}".rstrip()
