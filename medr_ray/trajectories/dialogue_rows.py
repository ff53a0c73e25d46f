"""Rows of chat data sets as dialogues in the text protocol, whatever form they are in.

A row is a JSON object of one of these forms, by the field that it has:

- ``messages``: OpenAI's messages. A message has ``role`` (system or developer, user, assistant,
  tool) and ``content``; an assistant's may have ``reasoning_content`` (or ``reasoning``), its
  thought, and ``tool_calls``. ``loss: false`` (or ``weight: 0``) keeps a message from being learnt.
  ``tools`` beside them are OpenAI's descriptions, as a list or as its JSON text.
- ``conversations``: ShareGPT's turns of ``from`` (human, gpt, observation, function_call) and
  ``value``, with ``system`` beside them.
- ``prompt`` and ``chosen``: messages of a preference pair, of which the chosen ones are learnt.

They include the formats of ``medr trajectories export``, whose ``loss_spans`` and ``trajectory_id``
say which replies are not learnt. A row may have ``id``, ``copies`` (how often an epoch takes it)
and ``weight`` (of its tokens in the loss).

Native calls and their results are worded in the agent's text protocol, as dialogues with native
calls are recorded: a model that learns from them calls tools as the agent reads calls.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from typing import Any, Literal, get_args

from medr_ray.agent.described_tools import read_tools, word_system_message
from medr_ray.agent.instructions import PromptForm
from medr_ray.agent.native import render_native_reply
from medr_ray.agent.protocol import render_responses
from medr_ray.core.json_text import InvalidJson, parse_json
from medr_ray.core.records import Message, Role, content_id
from medr_ray.llm.completions import FunctionCall
from medr_ray.trajectories.dataset import Dialogue, RowProblem, find_malformed_messages

Speaker = Literal["system", "user", "assistant", "tool"]
SPEAKERS: tuple[Speaker, ...] = get_args(Speaker)
_ROLES: Mapping[str, Speaker] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_SHAREGPT_ROLES: Mapping[str, str] = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "observation": "tool",
    "tool": "tool",
    "function_call": "assistant",
}
_REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking")
_RESPONSE_OPENING = "<tool_response>"
_MOST_COPIES = 1000  # of a dialogue in an epoch; more is a mistake


@dataclass
class _Part:
    """A message of a row, before tool results are joined. ``path`` is its place in the row."""

    path: str
    speaker: Speaker
    content: str
    calls: tuple[FunctionCall, ...] = ()
    call_id: str = ""
    has_loss: bool = True


@dataclass
class _DialogueBuilder:
    """Puts messages together; tool results become one user message, with what the user says behind
    them."""

    learn_from: Collection[str]
    messages: list[Message] = field(default_factory=list)
    without_loss: set[int] = field(default_factory=set)
    _calls: tuple[FunctionCall, ...] = ()
    _results: list[_Part] = field(default_factory=list)

    def add(self, part: _Part) -> None:
        if part.speaker == "tool":
            self._results.append(part)
            return
        results = self._results
        text = self._render_results(part.path)
        self._results = []
        if results and part.speaker == "user":
            self._append("user", f"{text}\n{part.content}", [*results, part])
        else:
            if results:
                self._append("user", text, results)
            self._append(part.speaker, part.content, [part])
        self._calls = part.calls

    def finish(self) -> None:
        """End the dialogue. What stands behind its last reply is not learnt from and is dropped
        with the results that nobody answered."""
        while self.messages and self.messages[-1].role != "assistant":
            self.messages.pop()
        self.without_loss = {number for number in self.without_loss if number < len(self.messages)}

    def _append(self, role: Role, content: str, parts: Sequence[_Part]) -> None:
        is_learnt = any(part.has_loss and part.speaker in self.learn_from for part in parts)
        if not is_learnt:
            self.without_loss.add(len(self.messages))
        self.messages.append(Message(role, content))

    def _render_results(self, path: str) -> str:
        """The results in the order of their calls."""
        results = self._results
        by_id = {result.call_id: result for result in results if result.call_id}
        call_ids = [call.id for call in self._calls]
        if self._calls and len(results) != len(self._calls):
            raise RowProblem(
                path,
                f"{len(self._calls)} calls before it have {len(results)} results",
                "give a message of role tool for each call",
            )
        if len(by_id) == len(results) and set(by_id) == set(call_ids):
            results = [by_id[call_id] for call_id in call_ids]
        return render_responses([result.content for result in results])


def read_dialogue(
    row: Any, learn_from: Collection[str] = ("assistant",), form: PromptForm = "full"
) -> Dialogue:
    """The dialogue of a row. ``form`` is how its tools are worded. Raises RowProblem."""
    if not isinstance(row, Mapping):
        raise RowProblem("row", f"is {_name_type(row)}", "write one JSON object a line")
    parts = _read_parts(row)
    builder = _DialogueBuilder(learn_from)
    for part in _put_system(parts, row, form):
        builder.add(part)
    builder.finish()
    messages = tuple(builder.messages)
    if not messages:
        raise RowProblem("messages", "have no assistant's message", "give the replies to learn")
    if messages[0].role == "assistant":
        raise RowProblem(
            "messages", "begin with a reply", "put what it answers, or a system message, first"
        )
    without_loss = frozenset(builder.without_loss) | _find_unlearnt(row, messages)
    if len(without_loss) == len(messages):
        raise RowProblem(
            "messages",
            f"have none to learn from ({', '.join(learn_from)})",
            "set sft.learn_from, or take off loss: false",
        )
    dialogue_id = _read_id(row, messages)
    return Dialogue(
        dialogue_id,
        str(row.get("question_id") or dialogue_id),
        messages,
        without_loss,
        _read_number(row, "weight", 1.0),
        int(_read_number(row, "copies", 1, whole=True)),
    )


def _read_parts(row: Mapping[str, Any]) -> list[_Part]:
    """The messages of a row in any of the forms."""
    if "messages" in row:
        return _read_messages(row, "messages")
    if "conversations" in row:
        return _read_turns(row)
    if "prompt" in row and "chosen" in row:
        prompt = _read_messages(row, "prompt")
        for part in prompt:
            part.has_loss = False
        return prompt + _read_messages(row, "chosen")
    raise RowProblem(
        "messages",
        f"is missing; the row has {', '.join(map(str, list(row)[:6])) or 'no field'}",
        "give messages of role and content, or ShareGPT's conversations",
    )


def _read_messages(row: Mapping[str, Any], name: str) -> list[_Part]:
    messages = row[name]
    if not isinstance(messages, Sequence) or isinstance(messages, str) or not messages:
        raise RowProblem(
            name, f"is {_name_type(messages)}", "give a list of objects with role and content"
        )
    return [_read_message(message, f"{name}[{n}]") for n, message in enumerate(messages)]


def _read_message(message: Any, path: str) -> _Part:
    if not isinstance(message, Mapping):
        raise RowProblem(path, f"is {_name_type(message)}", "give an object with role and content")
    role = message.get("role")
    speaker = _ROLES.get(role) if isinstance(role, str) else None
    if speaker is None:
        raise RowProblem(f"{path}.role", f"is {role!r}", f"give one of {', '.join(_ROLES)}")
    calls = _read_calls(message, path) if speaker == "assistant" else ()
    content = _read_content(message, path, is_optional=bool(calls))
    if speaker == "assistant":
        content = render_native_reply(content, calls, _read_thought(message, path))
    if not content.strip():
        raise RowProblem(f"{path}.content", "is empty", "give a text, or leave the message out")
    call_id = message.get("tool_call_id")
    return _Part(
        path, speaker, content, calls, str(call_id or ""), has_loss=_read_loss(message, path)
    )


def _read_content(message: Mapping[str, Any], path: str, is_optional: bool) -> str:
    content = message.get("content")
    if content is None and is_optional:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence):
        texts = [part.get("text") for part in content if isinstance(part, Mapping)]
        if len(texts) == len(content) and all(isinstance(text, str) for text in texts):
            return "".join(map(str, texts))
    raise RowProblem(
        f"{path}.content", f"is {_name_type(content)}", "give a text, or parts of type text"
    )


def _read_thought(message: Mapping[str, Any], path: str) -> str:
    for name in _REASONING_FIELDS:
        thought = message.get(name)
        if thought is None:
            continue
        if not isinstance(thought, str):
            raise RowProblem(f"{path}.{name}", f"is {_name_type(thought)}", "give a text")
        return thought
    return ""


def _read_loss(message: Mapping[str, Any], path: str) -> bool:
    has_loss = message.get("loss", True)
    weight = message.get("weight", 1)
    if not isinstance(has_loss, bool):
        raise RowProblem(f"{path}.loss", f"is {has_loss!r}", "give true or false")
    if weight not in (0, 1):
        raise RowProblem(
            f"{path}.weight",
            f"is {weight!r}",
            "give 0 or 1; the row's own weight may be any number",
        )
    return has_loss and weight == 1


def _read_calls(message: Mapping[str, Any], path: str) -> tuple[FunctionCall, ...]:
    entries = message.get("tool_calls") or ()
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        raise RowProblem(f"{path}.tool_calls", f"is {_name_type(entries)}", "give a list")
    calls = []
    for number, entry in enumerate(entries):
        function = entry.get("function", entry) if isinstance(entry, Mapping) else None
        name = function.get("name") if isinstance(function, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(name, str):
            raise RowProblem(
                f"{path}.tool_calls[{number}]",
                "has no function with a name",
                'give {"function": {"name": ..., "arguments": ...}}',
            )
        arguments = function.get("arguments", {})
        if not isinstance(arguments, str):
            arguments = json.dumps(arguments, ensure_ascii=False)
        calls.append(FunctionCall(str(entry.get("id") or ""), name, arguments))
    return tuple(calls)


def _read_turns(row: Mapping[str, Any]) -> list[_Part]:
    """ShareGPT's turns."""
    turns = row["conversations"]
    if not isinstance(turns, Sequence) or isinstance(turns, str) or not turns:
        raise RowProblem(
            "conversations", f"is {_name_type(turns)}", "give a list of objects with from and value"
        )
    parts = []
    system = row.get("system")
    if isinstance(system, str) and system.strip():
        parts.append(_Part("system", "system", system))
    for number, turn in enumerate(turns):
        path = f"conversations[{number}]"
        speaker = turn.get("from") if isinstance(turn, Mapping) else None
        value = turn.get("value") if isinstance(turn, Mapping) else None
        if not isinstance(speaker, str) or speaker not in _SHAREGPT_ROLES:
            choices = ", ".join(_SHAREGPT_ROLES)
            raise RowProblem(f"{path}.from", f"is {speaker!r}", f"give one of {choices}")
        message: dict[str, Any] = {"role": _SHAREGPT_ROLES[speaker], "content": value}
        if speaker == "function_call":
            message |= {"content": None, "tool_calls": _parse_value(value, f"{path}.value")}
        elif not isinstance(value, str):
            raise RowProblem(f"{path}.value", f"is {_name_type(value)}", "give a text")
        parts.append(_read_message(message, path))
    return parts


def _parse_value(value: Any, path: str) -> list[Any]:
    """The calls that a turn from "function_call" has as JSON."""
    try:
        calls = parse_json(value, "the call") if isinstance(value, str) else value
    except InvalidJson as error:
        raise RowProblem(path, error.reason, "give the call as JSON") from None
    return calls if isinstance(calls, list) else [calls]


def _put_system(
    parts: Sequence[_Part], row: Mapping[str, Any], form: PromptForm
) -> Sequence[_Part]:
    """The messages with the tools of the row in their system message."""
    if any(part.speaker == "system" for part in parts[1:]):
        later = next(part for part in parts[1:] if part.speaker == "system")
        raise RowProblem(later.path, "is a system message", "put it first, or leave it out")
    tools = row.get("tools")
    if not tools:
        return parts
    try:
        value = parse_json(tools, "the text") if isinstance(tools, str) else tools
        # Some data sets give the functions alone.
        entries = [entry if "function" in entry else {"function": entry} for entry in value]
        described = read_tools(entries)
    except (InvalidJson, KeyError, TypeError, AttributeError) as error:
        raise RowProblem(
            "tools", f"are no descriptions of functions ({error})", "give OpenAI's tools"
        ) from None
    if not described:
        return parts
    has_system = parts[0].speaker == "system"
    system = parts[0] if has_system else _Part("tools", "system", "", has_loss=False)
    question = next((part.content for part in parts if part.speaker == "user"), "")
    system.content = word_system_message(system.content, question, described, form)
    return parts if has_system else [system, *parts]


def _find_unlearnt(row: Mapping[str, Any], messages: Sequence[Message]) -> frozenset[int]:
    """The replies of a dialogue of ours that the agent repaired, which no model is to learn."""
    spans = row.get("loss_spans")
    if isinstance(spans, Sequence) and spans:
        learnt = {span[0] for span in spans if isinstance(span, Sequence) and span}
        return frozenset(
            number
            for number, message in enumerate(messages)
            if message.role == "assistant" and number not in learnt
        )
    # In other data a reply without a call or an answer is no mistake.
    return find_malformed_messages(messages) if row.get("trajectory_id") else frozenset()


def _read_id(row: Mapping[str, Any], messages: Sequence[Message]) -> str:
    for name in ("id", "trajectory_id", "chosen_id"):
        if row.get(name) is not None:
            return str(row[name])
    return content_id("dialogue", *(part for message in messages for part in astuple(message)))


def _read_number(row: Mapping[str, Any], name: str, default: float, whole: bool = False) -> float:
    value = row.get(name, default)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or value <= 0 or (whole and value != int(value)):
        kind = "a whole number" if whole else "a number"
        raise RowProblem(name, f"is {value!r}", f"give {kind} above 0, or leave the row out")
    if whole and value > _MOST_COPIES:
        raise RowProblem(name, f"is {value:,}", f"give at most {_MOST_COPIES:,}")
    return float(value)


def is_tool_response(message: Message) -> bool:
    """Whether a user's message of the text protocol begins with a tool's response."""
    return message.role == "user" and message.content.startswith(_RESPONSE_OPENING)


def _name_type(value: Any) -> str:
    """What a JSON value is, for an error."""
    if value is None:
        return "null or missing"
    names = {bool: "true or false", int: "a number", float: "a number", str: "a text"}
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "an empty list" if not value else "a list"
    return names.get(type(value), type(value).__name__)
