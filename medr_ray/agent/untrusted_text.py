"""Text from outside (pages, abstracts, other services' messages) is data, not part of the dialogue.

After ``defuse`` it cannot speak as the agent, end a tool response, or be read as a control token of
a chat template, whatever the template: every run of the shape of a tag counts, not a list of known
ones. Nothing that a person sees is left out and no figure changes ("p<0.05" stays): only the
brackets of such runs become look-alikes. Characters that nobody sees (zero width, reading
direction, control) go, because they hide and split such runs. What comes out can be written as
UTF-8.
"""

import re
import unicodedata
from collections.abc import Sequence

from medr_ray.core.json_text import replace_surrogates

TAGS = ("tool_call", "tool_response", "answer", "think")
# Signs that a tokenizer or a model may take for the ASCII ones: full width, small, letters.
_LESS = "<＜﹤˂ᐸ❮⟨〈"
_GREATER = ">＞﹥˃ᐳ❯⟩〉"
_BAR = "|｜¦│∣ǀ"
_SLASH = "/／⁄∕"
_LOOK_ALIKE = str.maketrans(
    {
        **dict.fromkeys(_LESS, "‹"),
        **dict.fromkeys(_GREATER, "›"),
        **dict.fromkeys("[［", "⟦"),
        **dict.fromkeys("]］", "⟧"),
        **dict.fromkeys(_BAR, "¦"),
    }
)
# Names of tags that set type in abstracts and titles. No chat template gives them a meaning.
_TYPE_TAGS = "i|b|u|em|sub|sup|strong|small|br|p"
_CONTROL_TOKENS = re.compile(
    "|".join(
        (
            # The tags of this agent's protocol, however loosely written.
            rf"[{_LESS}]\s{{0,3}}[{_SLASH}]?\s{{0,3}}(?:{'|'.join(TAGS)})\b"
            rf"[^{_LESS}{_GREATER}]{{0,40}}[{_GREATER}]",
            # <|anything|>, <｜User｜>
            rf"[{_LESS}]\s{{0,3}}[{_SLASH}{_BAR}]{{1,2}}[^{_LESS}{_GREATER}\n]{{0,80}}[{_BAR}]\s{{0,3}}"
            rf"[{_GREATER}]",
            # <anything>, </anything>, <anything name=value>: a name with a letter, close to its
            # brackets, so that "a < b > c" and "CD4<200" are none.
            rf"[{_LESS}](?!(?:[{_SLASH}]?(?:{_TYPE_TAGS}))[{_SLASH}]?[{_GREATER}])"
            rf"[{_SLASH}!?]?(?=[\w.:=▁-]*[^\W\d])[\w.:=▁-]{{1,60}}"
            rf"(?:\s+[\w.:-]{{1,40}}\s*=[^{_LESS}{_GREATER}]{{0,80}})?\s?[{_SLASH}]?[{_GREATER}]",
            # Llama 2 and Mistral
            r"[\[［][/／]?(?:INST|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|SYSTEM_PROMPT|THINK|ARGS|SYS)"
            r"[\]］]",
            # [/NAME], [TWO_WORDS]
            r"[\[［](?:[/／][A-Z][A-Z_]{1,40}|[A-Z]{2,20}(?:_[A-Z]{2,20}){1,3})[\]］]",
        )
    ),
    re.IGNORECASE,
)


def defuse(text: str, control_tokens: Sequence[str] = ()) -> str:
    """Fetched text with protocol tags and chat-template control tokens broken up.

    ``control_tokens`` are those of the tokenizer in use, beside the common ones that are listed
    here.
    """
    text = _remove_unseen(replace_surrogates(text))
    # Look-alikes and not removal: with a part removed, what is left could join to a new token.
    text = _CONTROL_TOKENS.sub(lambda match: match.group().translate(_LOOK_ALIKE), text)
    for token in control_tokens:
        if token in text:
            text = text.replace(token, _break_token(token))
    return text


def _remove_unseen(text: str) -> str:
    """The text without control and format characters other than white space."""
    unseen = [
        character
        for character in set(text)
        if character == "\u034f"  # the grapheme joiner, a mark without a form
        or (not character.isspace() and unicodedata.category(character) in ("Cc", "Cf"))
    ]
    return text.translate(dict.fromkeys(map(ord, unseen))) if unseen else text


def _break_token(token: str) -> str:
    """The token with look-alike brackets, or with a space in it where it has none."""
    changed = token.translate(_LOOK_ALIKE)
    if changed != token:
        return changed
    return f"{token[:1]} {token[1:]}"
