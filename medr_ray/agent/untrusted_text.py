"""Text from outside (pages, abstracts, other services' messages) is data, not part of the dialogue.

After ``defuse`` it cannot speak as the agent, end a tool response, or be read as a control token of
a chat template. Nothing is left out and no figure changes ("p<0.05" stays): only the brackets of
such tokens become look-alikes. What comes out can be written as UTF-8.
"""

import re
from collections.abc import Sequence

from medr_ray.core.json_text import replace_surrogates

TAGS = ("tool_call", "tool_response", "answer", "think")
_LOOK_ALIKE = str.maketrans({"<": "‹", ">": "›", "[": "⟦", "]": "⟧", "|": "¦", "｜": "¦"})
_CONTROL_TOKENS = re.compile(
    "|".join(
        (
            # The tags of this agent's protocol, however loosely written.
            rf"<\s{{0,3}}/?\s{{0,3}}(?:{'|'.join(TAGS)})\b[^<>]{{0,40}}>",
            # <|im_start|>, <|eot_id|>, <｜User｜>
            r"<[|｜][^<>\n]{0,60}[|｜]>",
            # Llama 2 and Mistral
            r"<</?SYS>>",
            r"</?s>",
            # Gemma, T5 and Hermes
            r"</?(?:bos|eos|pad|unk|start_of_turn|end_of_turn|start_of_image|tools)>",
            # Mistral
            r"\[/?(?:INST|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|SYSTEM_PROMPT|THINK)\]",
        )
    ),
    re.IGNORECASE,
)


def defuse(text: str, control_tokens: Sequence[str] = ()) -> str:
    """Fetched text with protocol tags and chat-template control tokens broken up.

    ``control_tokens`` are those of the tokenizer in use, beside the common ones that are listed
    here.
    """
    text = replace_surrogates(text)
    # Look-alikes and not removal: with a part removed, what is left could join to a new token.
    text = _CONTROL_TOKENS.sub(lambda match: match.group().translate(_LOOK_ALIKE), text)
    for token in control_tokens:
        if token in text:
            text = text.replace(token, _break_token(token))
    return text


def _break_token(token: str) -> str:
    """The token with look-alike brackets, or with a space in it where it has none."""
    changed = token.translate(_LOOK_ALIKE)
    if changed != token:
        return changed
    return f"{token[:1]} {token[1:]}"
