"""OpenAI's tools over models that call them in their text, both ways.

A model that was trained on the agent's text protocol is shown the protocol: its system message with
the tools in it, results as ``<tool_response>`` in one user message, its own replies as it wrote
them. The agent's instructions for native calls in a system message are replaced, other instructions
follow the protocol's. So a dialogue of native calls gives the model the prompt that the text
protocol gives. Other models are shown tools by their chat template, where it knows them.

Replies are read by the protocol's one parser. A reply whose calls can all be read is tool calls;
any other is text, as the model wrote it, so that its reader sees what is wrong with it. Thoughts
come in a field of their own.
"""

import base64
import binascii
import json
import secrets
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from medr_ray.agent.call_styles import render_call
from medr_ray.agent.described_tools import ToolDescription, word_system_message
from medr_ray.agent.instructions import PromptForm
from medr_ray.agent.native import render_native_call
from medr_ray.agent.protocol import (
    canonical_reply,
    parse_reply,
    render_responses,
    unpack_arguments,
)
from medr_ray.agent.untrusted_text import TAGS
from medr_ray.core.json_text import InvalidJson
from medr_ray.engines.constraints import embed_schema
from medr_ray.llm.completions import FunctionCall
from medr_ray.llm.thoughts import CLOSING, OPENING, escape_thought
from medr_ray.serving.messages import ANY_TOOL, ChatTurn

# How a model is shown tools: in the agent's text protocol, or by its own chat template.
ToolStyle = Literal["text", "template"]
_CALL_OPENING = "<tool_call>"
_TAGS = tuple(f"<{slash}{tag}>" for tag in TAGS for slash in ("", "/"))
_ID_BYTES = 12  # of a call's random id
# Characters of an id that carries its reply. A longer reply is given back as it reads best.
_LONGEST_ID = 2000
# Of a reply in an id, once it is unpacked: more is no reply of ours.
_MAX_REPLY_BYTES = 64_000


class ToolDialogueError(ValueError):
    """A dialogue whose calls and results do not belong together."""


# --- dialogues as the model reads them -------------------------------------------------


def render_text_messages(
    turns: Sequence[ChatTurn], tools: Sequence[ToolDescription], form: PromptForm
) -> list[dict[str, str]]:
    """The dialogue in the text protocol, without ``tools`` under the client's own instructions.
    Raises ToolDialogueError."""
    messages: list[dict[str, str]] = []
    if tools:
        given_system = ""
        if turns and turns[0].role == "system":
            given_system = turns[0].content
            turns = turns[1:]
        questions = (turn.content for turn in turns if turn.role == "user")
        system = word_system_message(given_system, next(questions, ""), tools, form)
        messages.append({"role": "system", "content": system})
    calls: Sequence[FunctionCall] = ()
    results: list[ChatTurn] = []
    for turn in turns:
        if turn.role == "tool":
            results.append(turn)
            continue
        responses = _render_results(calls, results)
        if turn.role == "user" and responses:
            # What follows the results is part of the same message.
            messages.append({"role": "user", "content": f"{responses}\n{turn.content}"})
        else:
            if responses:
                messages.append({"role": "user", "content": responses})
            messages.append({"role": turn.role, "content": _render_text_turn(turn)})
        calls = turn.tool_calls
        results = []
    if calls or results:
        messages.append({"role": "user", "content": _render_results(calls, results)})
    return messages


def _render_results(calls: Sequence[FunctionCall], results: Sequence[ChatTurn]) -> str:
    """The results of ``calls`` in the order of the calls. Raises ToolDialogueError unless there is
    one for each."""
    texts: dict[str, list[str]] = {}
    for result in results:
        texts.setdefault(result.tool_call_id, []).append(result.content)
    ordered = []
    for call in calls:
        if not texts.get(call.id):
            raise ToolDialogueError(f"the call {call.id[:80]!r} has no tool message behind it")
        ordered.append(texts[call.id].pop(0))
    surplus = [call_id for call_id, rest in texts.items() if rest]
    if surplus:
        raise ToolDialogueError(
            f"a tool message answers {surplus[0][:80]!r}, which the message before it did not call"
        )
    return render_responses(ordered)


def _render_text_turn(turn: ChatTurn) -> str:
    if turn.role != "assistant":
        return turn.content
    if not turn.tool_calls:
        # A reply that is given back as it was written has its thought already.
        has_thought = turn.content.lstrip().startswith(OPENING)
        return canonical_reply(turn.content, "" if has_thought else turn.thought)
    return canonical_reply(_unpack_reply(turn)) or write_reply(
        turn.thought, turn.content, turn.tool_calls
    )


def write_reply(thought: str, content: str, calls: Sequence[FunctionCall]) -> str:
    """A reply with calls in the text protocol, as the model is taught to write it."""
    parts = [content.strip(), *(render_call(_call_json(call)) for call in calls)]
    if thought.strip():
        parts.insert(0, f"{OPENING}{escape_thought(thought.strip())}{CLOSING}")
    return "\n".join(filter(None, parts))


def _call_json(call: FunctionCall) -> str:
    try:
        arguments = unpack_arguments(call.arguments, "the arguments")
    except InvalidJson:
        arguments = call.arguments
    return json.dumps({"name": call.name, "arguments": arguments}, ensure_ascii=False)


def render_template_messages(turns: Sequence[ChatTurn]) -> list[dict[str, Any]]:
    """The dialogue as chat templates with tools read it."""
    messages = []
    for turn in turns:
        message: dict[str, Any] = {"role": turn.role, "content": turn.content}
        if turn.thought:
            message["reasoning_content"] = turn.thought
        if turn.tool_calls:
            message["tool_calls"] = [_render_template_call(call) for call in turn.tool_calls]
        if turn.tool_call_id:
            message["tool_call_id"] = turn.tool_call_id
        messages.append(message)
    return messages


def _render_template_call(call: FunctionCall) -> dict[str, Any]:
    try:
        arguments = unpack_arguments(call.arguments, "the arguments")
    except InvalidJson:
        arguments = call.arguments
    # Templates take an object; what is none stays the text it is.
    return render_native_call(call.id, call.name, arguments)


# --- ids that carry a reply ------------------------------------------------------------


def _build_call_ids(calls: Sequence[FunctionCall], text: str) -> tuple[FunctionCall, ...]:
    """The calls with ids.

    Where the reply is not written as ``write_reply`` would, the first id has ``text`` in it: a
    client gives ids back as they are, and the next prompt is then exactly what the model wrote.
    """
    named = [replace(call, id=f"call_{secrets.token_hex(_ID_BYTES)}") for call in calls]
    if text:
        packed = base64.urlsafe_b64encode(zlib.compress(text.encode("utf-8"), 9)).decode("ascii")
        first = f"{named[0].id}.{packed}"
        if len(first) <= _LONGEST_ID:
            named[0] = replace(named[0], id=first)
    return tuple(named)


def _unpack_reply(turn: ChatTurn) -> str:
    """The reply in the first call's id, if it reads as the turn does; else ""."""
    _, _, packed = turn.tool_calls[0].id.partition(".")
    if not packed:
        return ""
    try:
        unpacking = zlib.decompressobj()
        content = unpacking.decompress(base64.urlsafe_b64decode(packed), _MAX_REPLY_BYTES)
        text = content.decode("utf-8")
    except (ValueError, binascii.Error, zlib.error):
        return ""
    # The client's word counts: a turn that it changed is what it says now.
    reply = read_reply(text, "text")
    given = [(call.name, call.arguments) for call in turn.tool_calls]
    is_same = (
        reply.content == turn.content
        and [(call.name, call.arguments) for call in reply.tool_calls] == given
    )
    return text if is_same and reply.thought in (turn.thought, turn.thought.strip()) else ""


# --- replies ---------------------------------------------------------------------------


@dataclass(frozen=True)
class ReadReply:
    """A reply, or a piece of one."""

    content: str = ""
    thought: str = ""
    tool_calls: tuple[FunctionCall, ...] = ()


class ReplyReader:
    """Reads a reply as it comes.

    A thought at its beginning is passed on while it is written, and so is text that begins without
    one, up to the first tag. Everything else waits for the end, because only the whole reply says
    whether it is calls or text.
    """

    def __init__(self, style: ToolStyle, allows_parallel_calls: bool = True) -> None:
        self._style = style
        self._allows_parallel_calls = allows_parallel_calls
        self._text = ""
        self._thought = ""
        self._content = ""

    def add_text(self, text: str) -> ReadReply:
        """What may be passed on now that ``text`` was added."""
        self._text += text
        beginning = self._text.lstrip()
        if OPENING.startswith(beginning[: len(OPENING)]) and len(beginning) < len(OPENING):
            return ReadReply()
        if beginning.startswith(OPENING):
            ready = _cut_before_tag(beginning[len(OPENING) :]).strip()
            new = ready[len(self._thought) :]
            self._thought = ready
            return ReadReply(thought=new)
        ready = _cut_before_tag(self._text).rstrip()
        new = ready[len(self._content) :]
        self._content = ready
        return ReadReply(new)

    def finish(self, is_whole: bool = True) -> ReadReply:
        """The rest of the reply. ``is_whole`` is false for one that was cut off, whose last call
        may be incomplete: it is text."""
        parsed = parse_reply(self._text)
        is_calls = is_whole and parsed.calls and not parsed.problems and parsed.answer is None
        if not is_calls:
            return ReadReply(self._read_text()[len(self._content) :])
        calls = [
            FunctionCall("", call.name, json.dumps(call.arguments, ensure_ascii=False))
            for call in parsed.calls
        ]
        content = self._content
        if self._thought:
            # Between the thought and the first call.
            spoken = self._text.partition(CLOSING)[2].partition(_CALL_OPENING)[0]
            content = spoken.strip()
        new_content = content[len(self._content) :]
        if not self._allows_parallel_calls:
            calls = calls[:1]
        is_usual = write_reply(self._thought, content, calls) == canonical_reply(self._text)
        keeps_text = self._style == "text" and not is_usual and len(calls) == len(parsed.calls)
        return ReadReply(
            new_content, tool_calls=_build_call_ids(calls, self._text if keeps_text else "")
        )

    def _read_text(self) -> str:
        """The content of a reply that is text. Without its thought only where the two together say
        how it was written; a model that is shown the protocol must see its own words again."""
        if not self._thought:
            return self._text
        rest = self._text.partition(CLOSING)[2].lstrip("\n")
        if self._style == "template":
            return rest
        is_answer = parse_reply(self._text).answer is not None
        is_usual = canonical_reply(rest, self._thought) == self._text
        return rest if is_answer and is_usual else self._text


def read_reply(text: str, style: ToolStyle, is_whole: bool = True) -> ReadReply:
    """A whole reply."""
    reader = ReplyReader(style)
    first = reader.add_text(text)
    rest = reader.finish(is_whole)
    return ReadReply(first.content + rest.content, first.thought + rest.thought, rest.tool_calls)


def _cut_before_tag(text: str) -> str:
    """The text before the first tag, or before what may become one."""
    position = text.find("<")
    while position >= 0:
        rest = text[position:]
        if any(rest.startswith(tag) or tag.startswith(rest) for tag in _TAGS):
            return text[:position]
        position = text.find("<", position + 1)
    return text


# --- replies that must be calls --------------------------------------------------------


def write_call_grammar(
    tools: Sequence[ToolDescription], tool_choice: str, allows_parallel_calls: bool
) -> str:
    """The grammar of a reply in the text protocol that is a thought, if the model has one, and
    calls: of any of the tools, or of the one that ``tool_choice`` names."""
    choices = [tool for tool in tools if tool_choice in (ANY_TOOL, tool.name)]
    schemas = [
        {
            "type": "object",
            "properties": {"name": {"const": tool.name}, "arguments": _object_schema(tool)},
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for tool in choices
    ]
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    more = '("\\n" call)*' if allows_parallel_calls else ""
    return "\n".join(
        (
            f"start: thought? call {more}",
            f'thought: "{OPENING}" WORDS "{CLOSING}\\n"',
            "WORDS: /[^<]*/",
            f'call: "{_CALL_OPENING}" arguments "</tool_call>"',
            f"arguments: {embed_schema(schema)}",
        )
    )


def _object_schema(tool: ToolDescription) -> Mapping[str, Any]:
    """The schema of a tool's arguments, which are an object whatever it says."""
    return {"type": "object", **tool.parameters}
