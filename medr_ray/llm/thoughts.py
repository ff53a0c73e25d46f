"""A model's thoughts inside its text, told apart from what it says.

Models mark them in many ways; ``use_think_tags`` brings the unambiguous ones to
``<think>…</think>``. A chat template may have opened the thought itself, so that the text has the
closing mark only. A mark that is named inside a closed thought is a word of it. Everything is read
in time linear in the length of the text.
"""

import re
from dataclasses import dataclass

OPENING = "<think>"
CLOSING = "</think>"
_TAG = re.compile(r"<(/?)think>")
# Opening and closing marks, as regular expressions, and the models that write them. Words alone
# ("Here is my thought process:") mark nothing: they may stand in an answer too.
_STYLES = tuple(
    (re.compile(opening, re.IGNORECASE), re.compile(closing, re.IGNORECASE))
    for opening, closing in (
        # Qwen, DeepSeek, GLM and others, with spaces and capitals as some write them
        (r"<\s{0,3}think\s{0,3}>", r"<\s{0,3}/\s{0,3}think\s{0,3}>"),
        (r"<thinking>", r"</thinking>"),  # prompts of Claude
        (r"<thoughts?>", r"</thoughts?>"),  # EXAONE, Gemini
        (r"<reasoning>", r"</reasoning>"),  # Reka
        (r"<seed:think>", r"</seed:think>"),  # Seed-OSS
        (r"\[THINK\]", r"\[/THINK\]"),  # Magistral
        (r"<\|begin_of_thought\|>", r"<\|end_of_thought\|>"),  # Sky-T1, OpenThinker
        (r"<\|START_THINKING\|>", r"<\|END_THINKING\|>"),  # Command A
        (r"◁think▷", r"◁/think▷"),  # Kimi
    )
)
# gpt-oss: <|channel|>analysis<|message|>…<|end|><|start|>assistant<|channel|>final<|message|>…
_CHANNEL = re.compile(
    r"<\|channel\|>\s{0,3}(\w{1,20})[^<]{0,80}(?:<\|constrain\|>[^<]{0,20})?<\|message\|>"
    r"(.*?)(?:<\|(?:end|return|call)\|>|(?=<\|(?:start|channel)\|>)|\Z)",
    re.DOTALL,
)
_CHANNEL_START = "<|channel|>"
_ANALYSIS = "analysis"


@dataclass(frozen=True)
class SplitReply:
    """A reply in two parts. ``thought`` is None where there is none; ``is_closed`` is false where
    the thought has no end, so that nothing is said behind it."""

    thought: str | None
    rest: str
    is_closed: bool = True


def use_think_tags(text: str) -> str:
    """The text with its thoughts between ``<think>`` and ``</think>``, whichever marks it uses.

    Marks count where the text begins with the opening one, or where a closing one has no opening
    one before it; elsewhere they are words. A closing mark may stand alone afterwards as well.
    """
    if text.lstrip().startswith((_CHANNEL_START, "<|start|>")):
        channels = [_render_channel(*match.groups()) for match in _CHANNEL.finditer(text)]
        return "".join(channels) or text
    for opening, closing in _STYLES:
        if _uses_style(text, opening, closing):
            return closing.sub(CLOSING, opening.sub(OPENING, text))
    return text


def split_thought(text: str) -> SplitReply:
    """What a reply thought, joined where it did so several times, and all that it says besides."""
    text = use_think_tags(text)
    thoughts: list[str] = []
    others: list[str] = []
    position = 0
    is_closed = True
    for tag in _TAG.finditer(text):
        if tag.start() < position:
            continue
        before = text[position : tag.start()]
        position = tag.end()
        if tag.group() == CLOSING:
            # Opened by the chat template; or a second one, with more of the thought before it.
            thoughts += [*others, before]
            others = []
            continue
        others.append(before)
        end = text.find(CLOSING, position)
        is_closed = end >= 0
        thoughts.append(text[position:end] if is_closed else text[position:])
        position = end + len(CLOSING) if is_closed else len(text)
    others.append(text[position:])
    return SplitReply(_join(thoughts) if thoughts else None, "".join(others), is_closed)


def escape_thought(text: str) -> str:
    """A thought from a field of its own, with marks that would end it early broken up."""
    return _TAG.sub(r"‹\1think›", text)


def _join(parts: list[str]) -> str:
    return "\n".join(filter(None, (part.strip() for part in parts)))


def _uses_style(text: str, opening: re.Pattern[str], closing: re.Pattern[str]) -> bool:
    """Whether the text begins with the opening mark, or closes what was not opened."""
    start = len(text) - len(text.lstrip())
    if opening.match(text, start):
        return True
    end = closing.search(text)
    return end is not None and opening.search(text, 0, end.start()) is None


def _render_channel(name: str, content: str) -> str:
    return f"{OPENING}{escape_thought(content)}{CLOSING}" if name == _ANALYSIS else content
