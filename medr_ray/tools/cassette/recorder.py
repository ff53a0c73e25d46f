"""Records tool calls on a cassette, so that a rollout can be repeated later, word for word, when
the index or the service behind a tool has changed or is gone.

A cassette is a snapshot of the world as the tools saw it: one call has one answer. The file of an
answer is named by a hash of the tool's name, its arguments and how often the episode had made the
same call before. A call that failed and is tried again may therefore succeed the second time.

- While recording, a call that is on the cassette is answered from it, whichever episode or worker
  put it there, and the first answer stays. So every recorded episode saw exactly what the cassette
  holds.
- Results and ToolErrors are stored, also for a call that exceeded ``agent.tool_seconds`` (the
  cassette ends it a little before the agent would). An InfrastructureError is never stored, because
  its rollout is repeated.
- Replaying calls no tool, opens no index and connects to no server: the descriptions of the tools
  are on the cassette too. A call that is not there is an InfrastructureError, never an answer.

With the same questions and settings only the model can still differ. ``llm.cache`` stores its
replies by the content of the request (at temperature 0, or with a seed), and equal observations
give equal requests. The two together repeat the whole rollout, down to its ``trajectory_id``, with
no network at all. Only an episode that reached the end of ``agent.seconds`` while a tool was at
work depends on the clock and cannot be repeated.

The folder holds ``cassette.json`` (date of the snapshot, versions, settings), ``tools/`` and
``answers/``, a JSON file for each call (see ``tools.cassette.write_once_store``). With changed
settings recording is refused, and replaying warns.
"""

import asyncio
import dataclasses
import datetime
import hashlib
import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, Field

from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import ConfigError, DataError, InfrastructureError, ToolError
from medr_ray.core.json_text import parse_json
from medr_ray.core.run import Directory, installed_versions
from medr_ray.core.validation_messages import validate_record
from medr_ray.tools.base import TOOL_NAME_PATTERN, Tool, ToolResult, for_episode
from medr_ray.tools.cassette.write_once_store import WriteOnceStore
from medr_ray.tools.threads import DaemonThreads

FileModel = TypeVar("FileModel", bound=BaseModel)
_LOG = logging.getLogger(__name__)
_FORMAT_VERSION = 1  # of the files below; a cassette of another version is refused
_HEADER_FILE = "cassette.json"
# Share of agent.tool_seconds after which a call is ended. Below 1, so that the timeout is on the
# cassette before the agent's own deadline cancels the call.
_DEADLINE_SHARE = 0.95
_MAX_SHOWN_ARGUMENTS = 200  # characters of a call's arguments in an error


def open_cassette(config: PipelineConfig) -> "Cassette":
    """The cassette of ``tools.cassette``; in mode ``record`` it is created when there is none.

    Raises ConfigError where there is none to replay, or where the one to record on was begun under
    other settings; DataError for a folder of something else.
    """
    cassette = config.tools.cassette
    store = WriteOnceStore(Directory(cassette.path))
    header = store.get(_HEADER_FILE)
    if header is None and cassette.mode == "replay":
        raise ConfigError(
            f"tools.cassette.path: there is no cassette in {cassette.path}: record it first"
        )
    if header is None:
        header = store.put_if_absent(_HEADER_FILE, _build_header(config))
    # Before the other fields, which another version may not have.
    if header.get("format") != _FORMAT_VERSION:
        raise DataError(
            f"{cassette.path}/{_HEADER_FILE} is of format {header.get('format')!r}; this "
            f"version reads {_FORMAT_VERSION}"
        )
    recorded = _validate_file(_Header, header, f"{cassette.path}/{_HEADER_FILE}")
    changed = _changed_settings(recorded.settings, _answer_settings(config))
    if changed:
        message = (
            f"the cassette {cassette.path} of {recorded.snapshot} was recorded with other "
            f"{', '.join(changed)}"
        )
        if cassette.mode == "record":
            raise ConfigError(f"{message}: give tools.cassette.path a new folder")
        _LOG.warning("%s: its answers are given as they are", message)
    return Cassette(store, config)


class _Header(BaseModel):
    """The part of ``cassette.json`` that is read back."""

    snapshot: str
    settings: dict[str, dict[str, Any]]


class _RecordedTool(BaseModel):
    """What an agent is shown of a tool."""

    name: str = Field(pattern=f"^{TOOL_NAME_PATTERN}$")
    description: str
    parameters: dict[str, Any]


class _RecordedToolset(BaseModel):
    """A file of ``tools/``: the tools that one entry of ``agent.tools`` selects."""

    tools: list[_RecordedTool]


class _RecordedAnswer(BaseModel):
    """The part of a file of ``answers/`` that is read back."""

    failed: bool
    text: str
    documents: tuple[str, ...]


def _validate_file(model: type[FileModel], value: dict[str, Any], file: str) -> FileModel:
    """The content of a file of the cassette, which anybody may have written. Raises DataError."""
    try:
        return validate_record(model, value)
    except DataError as error:
        raise DataError(f"{file} is no file of a cassette ({error}): remove it") from None


class Cassette:
    """The stored answers, and what the agent is shown of the tools that gave them."""

    def __init__(self, store: WriteOnceStore, config: PipelineConfig) -> None:
        self._store = store
        self._threads = DaemonThreads()
        self._tool_seconds = config.agent.tool_seconds

    def record_tools(self, groups: Mapping[str, Sequence[Tool]]) -> list[Tool]:
        """These tools, with all their answers stored on the cassette. ``groups`` are the tools
        by the entry of ``agent.tools`` that selects them.

        Raises ConfigError for a tool that is shown otherwise than on the cassette.
        """
        tools: list[Tool] = []
        for name, group in groups.items():
            descriptions = [_describe_tool(tool) for tool in group]
            toolset = {"selected": name, "tools": descriptions}
            stored = self._store.put_if_absent(_toolset_file(name), toolset)
            # Compared as JSON, which knows no tuples: stored values are lists.
            if stored.get("tools") != parse_json(
                json.dumps(descriptions), "the tools' descriptions"
            ):
                raise ConfigError(
                    f"tools.cassette: {name} is not what it was when the cassette was "
                    f"begun (its tools, "
                    "their descriptions or their arguments): give tools.cassette.path a new folder"
                )
            tools += [
                CassetteTool(self, **description, live=tool)
                for description, tool in zip(stored["tools"], group, strict=True)
            ]
        return tools

    def replay_tools(self, names: Sequence[str]) -> list[Tool]:
        """The tools by their names in ``agent.tools``, answering from the cassette alone. Raises
        ConfigError for one that was not recorded."""
        tools: list[Tool] = []
        for name in names:
            stored = self._store.get(_toolset_file(name))
            if stored is None:
                raise ConfigError(f"agent.tools: {name!r} is not on the cassette {self._store.uri}")
            file = f"{self._store.uri}/{_toolset_file(name)}"
            toolset = _validate_file(_RecordedToolset, stored, file)
            tools += [
                CassetteTool(self, tool.name, tool.description, tool.parameters, None)
                for tool in toolset.tools
            ]
        return tools

    async def answer(self, call: "CassetteCall", live: Tool | None) -> "CassetteAnswer":
        """The stored answer to the call, else the one of the ``live`` tool, which is then stored.

        Raises InfrastructureError where there is neither, and the live tool's own
        InfrastructureError.
        """
        stored = await self._threads.run(lambda: self._store.get(call.file))
        if stored is None:
            if live is None:
                raise InfrastructureError(
                    f"{call.tool}: this call ({call.short_arguments}) is not on the cassette "
                    f"{self._store.uri}"
                )
            answer = await self._call_live_tool(call, live)
            recorded = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            entry = dataclasses.asdict(call) | dataclasses.asdict(answer) | {"recorded": recorded}
            # Another worker may have been first: its answer is the one that counts.
            stored = await self._threads.run(lambda: self._store.put_if_absent(call.file, entry))
        recording = _validate_file(_RecordedAnswer, stored, f"{self._store.uri}/{call.file}")
        return CassetteAnswer(recording.failed, recording.text, recording.documents)

    async def _call_live_tool(self, call: "CassetteCall", live: Tool) -> "CassetteAnswer":
        try:
            async with asyncio.timeout(_DEADLINE_SHARE * self._tool_seconds):
                result = await live.call(call.arguments)
        except ToolError as error:
            return CassetteAnswer(True, str(error), ())
        except TimeoutError:
            # Word for word what the agent says of a late call, so that recording changes nothing.
            message = f"{call.tool} did not answer within {self._tool_seconds:g} s"
            return CassetteAnswer(True, message, ())
        return CassetteAnswer(False, result.text, result.documents)


@dataclass(frozen=True)
class CassetteCall:
    """A call. ``occurrence`` is how often the episode made the same call before. The fields are
    written to the call's file."""

    tool: str
    arguments: dict[str, Any]
    occurrence: int

    @property
    def short_arguments(self) -> str:
        """The arguments as JSON, cut for a message."""
        return json.dumps(self.arguments, sort_keys=True)[:_MAX_SHOWN_ARGUMENTS]

    @property
    def file(self) -> str:
        """The file of its answer, by content: recorded cassettes depend on this form."""
        text = json.dumps([self.tool, self.arguments, self.occurrence], sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()
        return f"answers/{digest[:2]}/{digest[2:40]}.json"


@dataclass(frozen=True)
class CassetteAnswer:
    """The outcome of a call: a result, or where it ``failed`` the message of its ToolError. The
    fields are written to the call's file."""

    failed: bool
    text: str
    documents: tuple[str, ...]

    def to_result(self) -> ToolResult:
        """The result; raises the ToolError of a failure."""
        if self.failed:
            raise ToolError(self.text)
        return ToolResult(self.text, self.documents)


class CassetteTool:
    """A tool that answers from a cassette, and from the ``live`` tool what is not there.

    Each episode needs its own (``tools.base.for_episode``), which counts the episode's calls.
    Without ``call_counts`` every call has occurrence 0.
    """

    def __init__(
        self,
        cassette: Cassette,
        name: str,
        description: str,
        parameters: Mapping[str, Any],
        live: Tool | None,
        call_counts: Counter[str] | None = None,
    ) -> None:
        self.name = name
        self.description = description
        self.parameters = parameters
        self._cassette = cassette
        self._live = live
        self._call_counts = call_counts

    def for_episode(self) -> Tool:
        live = None if self._live is None else for_episode([self._live])[0]
        return CassetteTool(
            self._cassette, self.name, self.description, self.parameters, live, Counter()
        )

    async def prepare(self) -> None:
        """Prepares the live tool, where there is one that offers it."""
        prepare = getattr(self._live, "prepare", None)
        if prepare is not None:
            await prepare()

    async def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        """The stored answer; raises its ToolError, or InfrastructureError for a call that is not
        on the cassette."""
        call = CassetteCall(self.name, dict(arguments), 0)
        if self._call_counts is not None:
            # Counted before the await below: calls of one reply run side by side.
            occurrence = self._call_counts[call.file]
            self._call_counts[call.file] += 1
            call = dataclasses.replace(call, occurrence=occurrence)
        answer = await self._cassette.answer(call, self._live)
        return answer.to_result()


def _describe_tool(tool: Tool) -> dict[str, Any]:
    """What the agent is shown of a tool, as it is stored."""
    return {
        "name": tool.name,
        "description": tool.description,
        "parameters": dict(tool.parameters),
    }


def _toolset_file(name: str) -> str:
    """The file that describes the tools of a name in ``agent.tools``. Hashed, because a name such
    as ``package.module:object`` is not a file name everywhere."""
    return f"tools/{hashlib.sha256(name.encode()).hexdigest()[:38]}.json"


def _build_header(config: PipelineConfig) -> dict[str, Any]:
    settings = _answer_settings(config)
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return {
        "format": _FORMAT_VERSION,
        "snapshot": today,
        "config": digest,
        "settings": settings,
        "versions": installed_versions(),
    }


def _answer_settings(config: PipelineConfig) -> dict[str, Any]:
    """The settings that decide a tool's answer, by section. The cassette's own are not among
    them: a cassette may be moved."""
    return {
        "tools": config.tools.model_dump(mode="json", exclude={"cassette"}),
        "retrieval": config.retrieval.model_dump(mode="json"),
        "index": config.index.model_dump(mode="json"),
        "agent": config.agent.model_dump(
            mode="json", include={"observation_chars", "tool_seconds"}
        ),
    }


def _changed_settings(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """``section.key`` of every setting that differs."""
    return sorted(
        f"{section}.{key}"
        for section, values in now.items()
        for key, value in values.items()
        if before.get(section, {}).get(key) != value
    )
