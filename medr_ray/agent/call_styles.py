"""Tool calls as other models mark them, where a reply has none of the protocol's own.

Models write what they were taught: a mark and JSON (Granite, Llama, Phi, Mistral), a name and JSON
(Mistral, DeepSeek, Kimi, gpt-oss, ReAct), or a name and tags around each argument (Qwen3-Coder,
GLM, MiniMax, Claude). Only marks with arguments behind them are calls; everything else is words.
Reading takes time in proportion to the text.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from medr_ray.agent.untrusted_text import TAGS
from medr_ray.core.json_text import InvalidJson, decode_json_at, parse_json

_TAG_IN_JSON = re.compile(rf"<(?=/?(?:{'|'.join(TAGS)})>)")
MAX_DEPTH = 32  # levels of a call: code that walks through arguments may be recursive
_MAX_MARKS = 64  # that are looked at; a model that writes more repeats itself
_MAX_ARGUMENTS = 64  # of a call in tags
_NAME = r"[\w.:-]{1,80}"
_FENCE = re.compile(r"\s*```[\w+-]{0,20}\s?")
_SEPARATORS = re.compile(r"[\s,;\ufeff]*")
# Marks before JSON objects or lists of them, which say the name themselves.
_JSON_MARK = re.compile(
    r"\[TOOL_CALLS\]|<\|tool_calls?\|>|<\|tool_calls?_(?:start|begin)\|>|<\|python_tag\|>|"
    r"<function_?calls?>|<tool_?calls?>",
    re.IGNORECASE,
)
# Marks that name the tool; its arguments follow.
_NAMED_MARK = re.compile(
    rf"\[TOOL_CALLS\]\s{{0,3}}(?P<mistral>{_NAME})(?:\[CALL_ID\][\w-]{{1,40}})?\[ARGS\]"
    rf"|<function=(?P<llama>{_NAME})>"
    rf"|<｜tool▁call▁begin｜>(?:function<｜tool▁sep｜>)?(?P<deepseek>{_NAME})(?:<｜tool▁sep｜>|(?=\s))"
    rf"|<\|tool_call_begin\|>\s{{0,3}}(?P<kimi>{_NAME})\s{{0,3}}<\|tool_call_argument_begin\|>"
    rf"|<invoke name=[\"'](?P<claude>{_NAME})[\"']>"
    rf"|^[ \t]{{0,3}}Action:[ \t]{{0,3}}(?P<react>{_NAME})[ \t]{{0,3}}"
    r"\n{1,2}[ \t]{0,3}Action Input:"
    rf"|(?:\A|<tool_call>)\s{{0,9}}(?P<glm>{_NAME})\s{{0,9}}(?=<arg_key>)",
    re.MULTILINE,
)
_ARGUMENT = re.compile(
    rf"\s{{0,99}}(?:<parameter=(?P<qwen>{_NAME})>"
    rf"|<parameter name=[\"'](?P<claude>{_NAME})[\"'][^>]{{0,40}}>"
    rf"|<arg_key>\s{{0,3}}(?P<glm>{_NAME})\s{{0,3}}</arg_key>\s{{0,9}}<arg_value>)"
)
_END_OF_CALL = re.compile(r"\s{0,99}</(?:function|invoke|tool_call)>")
_CALL_NUMBER = re.compile(r":\d{1,4}\Z")  # Kimi counts its calls
# gpt-oss: <|channel|>commentary to=functions.search <|constrain|>json<|message|>{…}<|call|>
_CHANNEL_CALL = re.compile(
    rf"(?:<\|start\|>assistant)?(?: to=(?P<before>{_NAME}))?<\|channel\|>\s{{0,3}}\w{{1,20}}"
    rf"(?:[ ]{{1,3}}to=(?P<behind>{_NAME}))?[^<]{{0,40}}"
    r"(?:<\|constrain\|>[^<]{0,20})?<\|message\|>"
)


def render_call(value: str) -> str:
    """A call given as JSON text. A protocol tag in one of its strings is escaped as JSON allows."""
    return "<tool_call>" + _TAG_IN_JSON.sub(r"\\u003c", value) + "</tool_call>"


def iterate_values(text: str, position: int) -> Iterator[tuple[Any, int]]:
    """(value, where it ends) of the objects and lists that follow one another from ``position`` on,
    also in code fences, up to what is no JSON."""
    while True:
        while fence := _FENCE.match(text, position):  # the end of one, and another's beginning
            position = fence.end()
        start = _SEPARATORS.match(text, position)
        position = start.end() if start else position
        if text[position : position + 1] not in ("{", "["):
            return
        try:
            value, position = decode_json_at(text, position, "the tool call", max_depth=MAX_DEPTH)
        except InvalidJson:
            return
        yield value, position


def find_marked_calls(text: str) -> list[dict[str, Any]]:
    """The calls behind the marks of other models, in order: objects with ``name`` and
    ``arguments``, or in the form in which the model wrote them."""
    calls = [*_find_named_calls(text)]
    return calls or [*_find_json_calls(text)]


def _find_named_calls(text: str) -> Iterator[dict[str, Any]]:
    position = 0
    for _ in range(_MAX_MARKS):
        mark = _NAMED_MARK.search(text, position)
        if mark is None:
            return
        position = mark.end()
        name = next(filter(None, mark.groups()))
        arguments, position = _read_arguments(text, position)
        if arguments is not None:
            yield {"name": _CALL_NUMBER.sub("", name), "arguments": arguments}


def _find_json_calls(text: str) -> Iterator[dict[str, Any]]:
    position = 0
    for _ in range(_MAX_MARKS):
        mark = _JSON_MARK.search(text, position)
        if mark is None:
            return
        position = mark.end()
        for value, end in iterate_values(text, position):
            position = end
            members = value if isinstance(value, list) else [value]
            yield from (member for member in members if isinstance(member, dict))


def _read_arguments(text: str, position: int) -> tuple[dict[str, Any] | None, int]:
    """(the arguments behind the name of a tool, where they end); None where there are none."""
    for value, end in iterate_values(text, position):
        return (value, end) if isinstance(value, dict) else (None, position)
    arguments: dict[str, Any] = {}
    for _ in range(_MAX_ARGUMENTS):
        opening = _ARGUMENT.match(text, position)
        if opening is None:
            break
        closing = "</arg_value>" if opening["glm"] else "</parameter>"
        end = text.find(closing, opening.end())
        if end < 0:
            break
        name = next(filter(None, opening.groups()))
        arguments[name] = _read_argument(text[opening.end() : end])
        position = end + len(closing)
    is_empty = not arguments and not _END_OF_CALL.match(text, position)
    return (None if is_empty else arguments), position


def _read_argument(text: str) -> Any:
    """A value between tags: JSON that is not a text, or the text as it stands."""
    text = text.strip()
    try:
        value = parse_json(text, "the argument", max_depth=MAX_DEPTH)
    except InvalidJson:
        return text
    return text if isinstance(value, str) else value


def write_channel_calls(text: str) -> str:
    """The text of gpt-oss with its calls between ``<tool_call>`` tags, in the channel of what is
    said."""
    if "<|channel|>" not in text or "to=" not in text:
        return text
    parts: list[str] = []
    position = 0
    for mark in _CHANNEL_CALL.finditer(text):
        name = mark["before"] or mark["behind"]
        if name is None or mark.start() < position:
            continue
        arguments, end = _read_channel_arguments(text, mark.end())
        call = json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)
        parts += [text[position : mark.start()], "<|start|>assistant<|channel|>final<|message|>"]
        parts.append(render_call(call))
        position = end
    return "".join([*parts, text[position:]])


def _read_channel_arguments(text: str, position: int) -> tuple[Any, int]:
    """(the arguments of a call, where they end); the text up to the next mark where they are no
    JSON."""
    for value, end in iterate_values(text, position):
        return value, end
    end = text.find("<|", position)
    end = len(text) if end < 0 else end
    return text[position:end], end
