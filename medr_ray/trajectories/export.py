"""Trajectories as rows that other trainers load: chat, ShareGPT, and native tool calls.

A row has every message of the dialogue. ``reply_labels`` say what each reply did for the question
(``process_labels``), a list of labels for each in order. The formats and where they are described:

- ``chat``: ``messages`` of ``role`` and ``content``, in the text protocol, as TRL's SFTTrainer
  takes a conversational data set (https://huggingface.co/docs/trl/dataset_formats).
  ``loss_spans`` cover the messages of the assistant that training learns (``dataset``): all but
  those with a malformed call, which the agent repaired. ``assistant_only_loss=True`` of TRL trains
  on all of them.
- ``sharegpt``: ``system`` and ``conversations`` of ``from`` and ``value``, as LLaMA-Factory takes
  them (https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md). It skips a dialogue in
  which "human" and "gpt" do not take turns. Tool responses are from "human" and not from
  "observation": for that its templates write marks of their own around the response, or another
  role, and a dialogue in the text protocol has its marks already.
- ``tool_calls``: ``messages`` with ``tool_calls`` and messages of ``role`` tool, and ``tools``, as
  the chat templates of Hugging Face and TRL's tool calling take them
  (https://huggingface.co/docs/trl/dataset_formats#tool-calling). See ``build_tool_calls_row``.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from medr_ray.agent.instructions import EpisodePrompt
from medr_ray.agent.native import describe_tools, render_native_call, render_tool_messages
from medr_ray.agent.protocol import ToolCall, parse_reply, render_reply
from medr_ray.agent.tool_policy import medical_prior
from medr_ray.core.config import AgentConfig
from medr_ray.core.errors import DataError
from medr_ray.core.records import FilteredTrajectory, Message, Question, Task, Trajectory
from medr_ray.llm.thoughts import escape_thought
from medr_ray.tools.registry import Toolbox
from medr_ray.trajectories.dataset import find_malformed_messages

ExportFormat = Literal["chat", "sharegpt", "tool_calls", "pairs"]
EXPORT_FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)
_SHAREGPT_SPEAKERS = {"user": "human", "assistant": "gpt"}


def build_chat_row(entry: FilteredTrajectory, question: Question) -> dict[str, Any]:
    """A row of messages. Each of ``loss_spans`` is [message number, start, end) in characters of
    that message's content."""
    malformed = find_malformed_messages(entry.trajectory.messages)
    messages = entry.trajectory.messages
    row = describe_dialogue(entry, question)
    row["messages"] = render_messages(messages)
    row["loss_spans"] = [
        [number, 0, len(message.content)]
        for number, message in enumerate(messages)
        if message.role == "assistant" and number not in malformed
    ]
    return row


def build_sharegpt_row(entry: FilteredTrajectory, question: Question) -> dict[str, Any]:
    """A row of conversations: replies are from "gpt", the question and tool responses from
    "human". The system message has a field of its own."""
    messages = list(entry.trajectory.messages)
    system = messages.pop(0).content if messages[0].role == "system" else ""
    row = describe_dialogue(entry, question)
    row["system"] = system
    row["conversations"] = [
        {"from": _SHAREGPT_SPEAKERS[message.role], "value": message.content} for message in messages
    ]
    return row


@dataclass(frozen=True)
class NativeTools:
    """What an agent with native tool calls is given: its tools, and the settings that word its
    system message."""

    toolbox: Toolbox
    agent: AgentConfig

    def word_system_message(self, task: Task) -> str:
        """The system message for an endpoint that is given the tools apart from the dialogue."""
        tools = self.toolbox.tools
        prior = medical_prior(self.agent, task.text, tools, self.toolbox.rarity)
        prompt = EpisodePrompt(task, tuple(tools), self.agent, prior)
        return prompt.opening_messages(native=True)[0].content


def build_tool_calls_row(
    entry: FilteredTrajectory, question: Question, native: NativeTools
) -> dict[str, Any]:
    """A row of messages with native calls, and ``tools``, the JSON text of their schemas.

    - ``content`` of a reply is its thought between ``<think>`` tags, as the system message asks.
      Templates for reasoning models take it from there (Qwen3 makes it ``reasoning_content``);
      other templates have no place for ``reasoning_content`` and would drop it. The last reply has
      the answer between ``<answer>`` tags behind it; calls beside it were never run and are left
      out.
    - ``arguments`` are objects, which templates write as JSON; a text they would quote once more.
      The keys differ from row to row, so ``datasets`` from 4.7 on reads the messages as its type
      ``Json``, and a call has no keys but its own. Older versions fill in nulls.
    - ``tools`` is a text for the same reason. TRL and LLaMA-Factory decode it.
    - Ids have nine letters and digits, which the templates of Mistral insist on.
    - A reply with a call that cannot be read stays as it was written, for no template can write it;
      its responses stay a message of the user.

    Raises DataError when a tool answered that is none of ``native``'s.
    """
    schemas = describe_tools(native.toolbox.tools)
    _check_tools(entry.trajectory, {schema["function"]["name"] for schema in schemas})
    row = describe_dialogue(entry, question)
    row["messages"] = render_native_dialogue(
        entry.trajectory.messages, native.word_system_message(question.task)
    )
    row["tools"] = json.dumps(schemas, ensure_ascii=False)
    return row


def _check_tools(trajectory: Trajectory, names: set[str]) -> None:
    used_tools = {event.tool for event in trajectory.tool_events if event.status == "ok"}
    if used_tools - names:
        raise DataError(
            f"{trajectory.trajectory_id} was played with {', '.join(sorted(used_tools - names))}, "
            f"which agent.tools lacks ({', '.join(sorted(names))}): export with the configuration "
            "that the dialogues were made with"
        )


def render_native_dialogue(messages: Sequence[Message], system: str) -> list[dict[str, Any]]:
    """A recorded dialogue with native calls, and ``system`` in place of its system message."""
    rendered: list[dict[str, Any]] = []
    calls: Sequence[ToolCall] = ()
    call_ids: Sequence[str] = ()
    for number, message in enumerate(messages):
        if message.role == "system":
            rendered.append({"role": "system", "content": system})
        elif message.role == "assistant":
            content, calls = _split_reply(message.content)
            call_ids = [_name_call(number, position) for position in range(len(calls))]
            rendered.append(_render_reply(content, calls, call_ids))
        else:
            responses = render_tool_messages(message.content, call_ids)
            # Templates want the name as well, which endpoints know by the id.
            for response, call in zip(responses, calls, strict=False):
                response["name"] = call.name
            rendered += responses
            calls, call_ids = (), ()
    return rendered


def _split_reply(text: str) -> tuple[str, Sequence[ToolCall]]:
    """(what is said in a reply, the calls that were run)."""
    reply = parse_reply(text)
    thought = escape_thought(reply.thought)
    if reply.answer is not None:
        answer = render_reply(thought, answer=reply.answer)
        return (answer if thought else f"<answer>{reply.answer}</answer>"), ()
    if reply.problems:
        return text, ()
    return (render_reply(thought) if thought else ""), reply.calls


def _render_reply(
    content: str, calls: Sequence[ToolCall], call_ids: Sequence[str]
) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if calls:
        message["tool_calls"] = [
            render_native_call(call_id, call.name, call.arguments)
            for call_id, call in zip(call_ids, calls, strict=True)
        ]
    return message


def _name_call(number: int, position: int) -> str:
    """The id of a call by the number of its message and its position there."""
    return f"call{number:03d}{position:02d}"


def render_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Messages of the text protocol as they stand."""
    return [{"role": message.role, "content": message.content} for message in messages]


def describe_dialogue(entry: FilteredTrajectory, question: Question) -> dict[str, Any]:
    """The fields that a row about one dialogue has in every format."""
    trajectory = entry.trajectory
    return {
        "trajectory_id": trajectory.trajectory_id,
        "question_id": trajectory.question_id,
        "mode": trajectory.mode,
        "answer": trajectory.answer,
        **describe_question(question),
        "reply_labels": [list(turn.labels) for turn in entry.labels],
    }


def describe_question(question: Question) -> Mapping[str, Any]:
    """The kind of a question, as rows of every format have it."""
    return {
        "language": question.task.language,
        "paradigm": question.paradigm,
        "hops": question.complexity,
        "specialty": question.specialty,
    }
