"""Tool calls kept on a cassette, so that a rollout can be made again later, word for word, when the
index or the service behind a tool has changed or is gone.

A cassette is a snapshot of the world as the tools saw it: one call has one answer. The address of
an answer is the hash of the tool's name, its arguments and how often this episode had made the same
call before, so a call that failed and is tried again may succeed the second time. While recording,
a call that is on the cassette is answered from it, whichever episode or worker put it there, and
the first answer stays; so every recorded episode saw exactly what the cassette holds. Results and
ToolErrors are kept, a call that outran ``agent.tool_seconds`` among them (the cassette ends it a
little before the agent would); an InfrastructureError never is, for its rollout is made afresh.
Replaying asks no tool, opens no index and connects no server: what the agent is shown of its tools
lies on the cassette too, and a call that is not there is an InfrastructureError, never an answer.

With the same questions and settings, what is left to differ is the model: ``llm.cache`` keeps its
answers by content (at temperature 0, or with a seed), and an observation word for word the same
gives a request word for word the same. The two together make the whole rollout again, down to its
``trajectory_id``, with no network at all. Only an episode that came to the end of ``agent.seconds``
while a tool was at work depends on the clock, and cannot be made again.

The folder holds ``cassette.json`` (date of the snapshot, versions, settings), ``tools/`` and
``answers/``, a JSON file for each call (see ``tools.cassette.write_once_store``). A changed setting
refuses to record on, and warns when it replays.
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
from medr_ray.core.run import Directory, installed_versions
from medr_ray.retrieval.readers.plain_records import validate_record
from medr_ray.tools.base import TOOL_NAME, Tool, ToolResult, for_episode
from medr_ray.tools.cassette.write_once_store import Keepsakes
from medr_ray.tools.threads import Threads

M = TypeVar("M", bound=BaseModel)
_LOG = logging.getLogger(__name__)
_FORMAT = 1
_HEADER = "cassette.json"
# When a call is ended, so that its end is on the cassette before the agent turns away.
_OF_DEADLINE = 0.95


def open_cassette(config: PipelineConfig) -> "Cassette":
    """The cassette of ``tools.cassette``. A new one is begun where it is to record.

    Raises ConfigError where there is none to replay, or one recorded under other settings to record
    on; DataError for a folder of something else.
    """
    cassette = config.tools.cassette
    kept = Keepsakes(Directory(cassette.path))
    header = kept.get(_HEADER)
    if header is None and cassette.mode == "replay":
        raise ConfigError(
            f"tools.cassette.path: there is no cassette in {cassette.path}: record it first"
        )
    if header is None:
        header = kept.keep(_HEADER, _header(config))
    if header.get("format") != _FORMAT:
        raise DataError(
            f"{cassette.path}/{_HEADER} is of format {header.get('format')!r}; this "
            f"version reads {_FORMAT}"
        )
    earlier = _checked(_Header, header, f"{cassette.path}/{_HEADER}")
    if changed := _changed(earlier.settings, _settings(config)):
        message = (
            f"the cassette {cassette.path} of {earlier.snapshot} was recorded with other "
            f"{', '.join(changed)}"
        )
        if cassette.mode == "record":
            raise ConfigError(f"{message}: give tools.cassette.path a new folder")
        _LOG.warning("%s: its answers are given as they are", message)
    return Cassette(kept, config)


class _Header(BaseModel):
    snapshot: str
    settings: dict[str, dict[str, Any]]


class _Face(BaseModel):
    name: str = Field(pattern=f"^{TOOL_NAME}$")
    description: str
    parameters: dict[str, Any]


class _Faces(BaseModel):
    tools: list[_Face]


class _Kept(BaseModel):
    failed: bool
    text: str
    documents: tuple[str, ...]


def _checked(model: type[M], value: dict[str, Any], file: str) -> M:
    """What a file of the folder holds, whoever wrote it. Raises DataError."""
    try:
        return validate_record(model, value)
    except DataError as error:
        raise DataError(f"{file} is no file of a cassette ({error}): remove it") from None


class Cassette:
    """Answers, and what the agent is shown of the tools that gave them."""

    def __init__(self, kept: Keepsakes, config: PipelineConfig) -> None:
        self._kept, self._threads, self._seconds = kept, Threads(), config.agent.tool_seconds

    def recorded(self, groups: Mapping[str, Sequence[Tool]]) -> list[Tool]:
        """These tools with everything they answer put on the cassette. ``groups`` are the tools by
        the name in ``agent.tools`` that stands for them."""
        tools: list[Tool] = []
        for name, group in groups.items():
            faces = [
                {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": dict(tool.parameters),
                }
                for tool in group
            ]
            kept = self._kept.keep(_face(name), {"selected": name, "tools": faces})
            if kept.get("tools") != json.loads(json.dumps(faces)):
                raise ConfigError(
                    f"tools.cassette: {name} is not what it was when the cassette was "
                    f"begun (its tools, "
                    "their descriptions or their arguments): give tools.cassette.path a new folder"
                )
            tools += [
                CassetteTool(self, **face, live=tool)
                for face, tool in zip(kept["tools"], group, strict=True)
            ]
        return tools

    def tools(self, names: Sequence[str]) -> list[Tool]:
        """The tools by their names in ``agent.tools``, answering from the cassette alone. Raises
        ConfigError for one that was not recorded."""
        tools: list[Tool] = []
        for name in names:
            group = self._kept.get(_face(name))
            if group is None:
                raise ConfigError(
                    f"agent.tools: {name!r} is not on the cassette {self._kept.place}"
                )
            faces = _checked(_Faces, group, f"{self._kept.place}/{_face(name)}").tools
            tools += [
                CassetteTool(self, face.name, face.description, face.parameters, None)
                for face in faces
            ]
        return tools

    async def answer(self, call: "Call", live: Tool | None) -> "Answer":
        """What is kept of the call, else what the ``live`` tool answers. Raises InfrastructureError
        where there is neither, and what the tool raises."""
        kept = await self._threads.run(lambda: self._kept.get(call.address))
        if kept is None:
            if live is None:
                raise InfrastructureError(
                    f"{call.tool}: this call ({call.told}) is not on the cassette "
                    f"{self._kept.place}"
                )
            answer = await self._asked(call, live)
            recorded = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            entry = dataclasses.asdict(call) | dataclasses.asdict(answer) | {"recorded": recorded}
            kept = await self._threads.run(lambda: self._kept.keep(call.address, entry))
        recording = _checked(_Kept, kept, f"{self._kept.place}/{call.address}")
        return Answer(recording.failed, recording.text, recording.documents)

    async def _asked(self, call: "Call", live: Tool) -> "Answer":
        try:
            async with asyncio.timeout(_OF_DEADLINE * self._seconds):
                result = await live.call(call.arguments)
        except ToolError as error:
            return Answer(True, str(error), ())
        except TimeoutError:
            return Answer(True, f"{call.tool} did not answer within {self._seconds:g} s", ())
        return Answer(False, result.text, result.documents)


@dataclass(frozen=True)
class Call:
    """A call: ``occurrence`` counts the same calls of the episode before it."""

    tool: str
    arguments: dict[str, Any]
    occurrence: int

    @property
    def told(self) -> str:
        return json.dumps(self.arguments, sort_keys=True)[:200]

    @property
    def address(self) -> str:
        """The file of its answer."""
        text = json.dumps([self.tool, self.arguments, self.occurrence], sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()
        return f"answers/{digest[:2]}/{digest[2:40]}.json"


@dataclass(frozen=True)
class Answer:
    """What a call came to: a result, or where it ``failed`` the message of its ToolError."""

    failed: bool
    text: str
    documents: tuple[str, ...]

    def given(self) -> ToolResult:
        if self.failed:
            raise ToolError(self.text)
        return ToolResult(self.text, self.documents)


class CassetteTool:
    """A tool that answers from a cassette, and from the ``live`` tool what is not there. Give an
    episode its own (``tools.base.for_episode``): without one, every call counts as the first of its
    kind."""

    def __init__(
        self,
        cassette: Cassette,
        name: str,
        description: str,
        parameters: Mapping[str, Any],
        live: Tool | None,
        made: Counter[str] | None = None,
    ) -> None:
        self.name, self.description, self.parameters = name, description, parameters
        self._cassette, self._live, self._made = cassette, live, made

    def for_episode(self) -> Tool:
        live = None if self._live is None else for_episode([self._live])[0]
        return CassetteTool(
            self._cassette, self.name, self.description, self.parameters, live, Counter()
        )

    async def prepare(self) -> None:
        """Prepares the live tool, where there is one that asks for it."""
        prepare = getattr(self._live, "prepare", None)
        if prepare is not None:
            await prepare()

    async def call(self, arguments: Mapping[str, Any]) -> ToolResult:
        """The kept answer; raises the ToolError that was kept, InfrastructureError for a call that
        is not there."""
        call = Call(self.name, dict(arguments), 0)
        if self._made is not None:
            before = self._made[call.address]
            self._made[call.address] += 1
            call = dataclasses.replace(call, occurrence=before)
        return (await self._cassette.answer(call, self._live)).given()


def _face(name: str) -> str:
    """The file of what is shown of the tools that a name in ``agent.tools`` stands for."""
    return f"tools/{hashlib.sha256(name.encode()).hexdigest()[:38]}.json"


def _header(config: PipelineConfig) -> dict[str, Any]:
    settings = _settings(config)
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return {
        "format": _FORMAT,
        "snapshot": today,
        "config": digest,
        "settings": settings,
        "versions": installed_versions(),
    }


def _settings(config: PipelineConfig) -> dict[str, Any]:
    """What decides a tool's answer."""
    return {
        "tools": config.tools.model_dump(mode="json", exclude={"cassette"}),
        "retrieval": config.retrieval.model_dump(mode="json"),
        "index": config.index.model_dump(mode="json"),
        "agent": config.agent.model_dump(
            mode="json", include={"observation_chars", "tool_seconds"}
        ),
    }


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """``section.key`` of every setting that differs."""
    return sorted(
        f"{section}.{key}"
        for section, values in now.items()
        for key, value in values.items()
        if before.get(section, {}).get(key) != value
    )
