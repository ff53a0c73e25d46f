"""Text from outside (pages, abstracts, other services' messages) is data.

What holds: after ``defuse`` it cannot speak as the agent, end a tool response, or be read as a
control token of a chat template; nothing is left out and no figure changes ("p<0.05" stays), only
the brackets of such tokens become look-alikes. After ``well_formed`` it can be written as UTF-8.
"""

import re
from collections.abc import Sequence

TAGS = ("tool_call", "tool_response", "answer", "think")
_LOOK_ALIKE = str.maketrans({"<": "‹", ">": "›", "[": "⟦", "]": "⟧", "|": "¦", "｜": "¦"})
_MARKUP = re.compile(
    "|".join(
        (
            rf"<\s{{0,3}}/?\s{{0,3}}(?:{'|'.join(TAGS)})\b[^<>]{{0,40}}>",  # this protocol, however loosely written
            r"<[|｜][^<>\n]{0,60}[|｜]>",  # <|im_start|>, <|eot_id|>, <｜User｜>
            r"<</?SYS>>",
            r"</?s>",  # Llama 2, Mistral
            r"</?(?:bos|eos|pad|unk|start_of_turn|end_of_turn|start_of_image|tools)>",  # Gemma, T5, Hermes
            r"\[/?(?:INST|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|SYSTEM_PROMPT|THINK)\]",  # Mistral
        )
    ),
    re.IGNORECASE,
)


def defuse(text: str, control_tokens: Sequence[str] = ()) -> str:
    """Fetched text with protocol tags and chat-template control tokens broken up.
    ``control_tokens`` are those of the tokenizer in use, beside the common ones that are known
    here."""
    text = _MARKUP.sub(lambda match: match.group().translate(_LOOK_ALIKE), well_formed(text))
    for token in control_tokens:
        if token in text:
            text = text.replace(token, _broken(token))
    return text


def _broken(token: str) -> str:
    changed = token.translate(_LOOK_ALIKE)
    return changed if changed != token else f"{token[:1]} {token[1:]}"


def well_formed(text: str) -> str:
    """Without lone surrogates, which JSON can spell ("\\ud800") and no file can hold; pairs become
    their character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
