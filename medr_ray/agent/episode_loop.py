"""The reason-act loop: one task, one policy, real tools and a budget give a Trajectory.

- Every reply enters the dialogue as it was given.
- Every call gets exactly one response, in call order. A tool's failure is an observation, and a
  malformed call is answered with what is wrong with it.
- When calls, tokens or seconds are nearly spent, or the agent repeats itself, it is asked once for
  its answer.
- Infrastructure failures are raised as InfrastructureError and never become a trajectory.
- Nothing that hangs holds the rollout beyond its deadline.
- An observer sees every step as it happens (``events``); its errors touch nothing.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from medr_ray.agent.calls import (
    CUT_OFF,
    Attempt,
    CallSettings,
    EpisodeCalls,
    OnResult,
    skip_attempt,
)
from medr_ray.agent.deadlines import EpisodeClock, EpisodeTimeout
from medr_ray.agent.episode import Episode
from medr_ray.agent.episode_budget import (
    SECONDS,
    STOP_REASON,
    TOKENS,
    EpisodeUsage,
    count_recap_room,
    cut_bytes,
    cut_observations,
    estimate_tokens,
    find_spent_budget,
)
from medr_ray.agent.events import (
    AnswerRequestEvent,
    EventSender,
    Observer,
    StartEvent,
    ThoughtEvent,
    build_answer_event,
    build_call_event,
    build_result_event,
)
from medr_ray.agent.faults import NO_FAULTS, FaultPlan
from medr_ray.agent.instructions import EpisodePrompt, answer_request
from medr_ray.agent.policies import Policy, PolicyTurn
from medr_ray.agent.protocol import NO_ATTEMPT, ParsedReply, render_responses
from medr_ray.agent.state import build_state
from medr_ray.agent.tool_policy import medical_prior
from medr_ray.agent.transcript import ToolObservation
from medr_ray.agent.untrusted_text import defuse
from medr_ray.core.config import AgentConfig
from medr_ray.core.records import Budget, StopReason, Task, Trajectory
from medr_ray.tools.base import Tool, for_episode

__all__ = ["NO_FAULTS", "FaultPlan", "run_episode"]
_SHORT_BYTES = 200  # of each response that are shown again where the whole did not fit


async def run_episode(
    task: Task,
    policy: Policy,
    tools: Sequence[Tool],
    agent: AgentConfig,
    *,
    mode: str,
    rollout: int = 0,
    faults: FaultPlan = NO_FAULTS,
    rarity: Callable[[str], float] | None = None,
    observer: Observer | None = None,
    keep_cut: bool = False,
) -> Trajectory:
    """Run the agent to its answer or the end of its budget.

    A policy or a tool that offers ``async prepare`` is prepared first (see ``policies.Policy``).
    ``rarity`` gives a word's weight for the tool policy, where one is configured (see
    ``tool_features``). ``observer`` is called with each event as it happens, and with ``mode`` as
    the model's name. Raises InfrastructureError when a deadline of ``agent`` passes, the policy
    cannot be reached or a tool breaks. With ``keep_cut`` an agent that has replied and then runs
    into ``agent.seconds`` has a trajectory without an answer: it was the agent that took its time.
    """
    clock = EpisodeClock(task.task_id, agent)
    tools = for_episode(tools)
    prior = medical_prior(agent, task.text, tools, rarity)
    prompt = EpisodePrompt(task, tuple(tools), agent, prior)
    sender = EventSender(observer)
    names = tuple(tool.name for tool in tools)
    sender.send(StartEvent(task.text, task.language, mode, names))
    await _prepare_episode(policy, prompt, clock)
    episode = Episode(prompt.opening_messages(), tuple(getattr(policy, "control_tokens", ())))
    calls = EpisodeCalls(tools, CallSettings(task, rollout, agent, faults, clock))
    loop = _EpisodeLoop(prompt, policy, clock, episode, calls, sender)
    try:
        answer, stop_reason = await loop.run_to_end()
    except EpisodeTimeout:
        if not (keep_cut and episode.turns):
            raise
        answer, stop_reason = None, STOP_REASON[SECONDS]
    trajectory = episode.build_trajectory(task, mode, rollout, answer, stop_reason)
    if observer is not None:
        seconds = round(clock.elapsed_seconds(), 3)
        sender.send(build_answer_event(trajectory, task.language, seconds))
    return trajectory


async def _prepare_episode(policy: Policy, prompt: EpisodePrompt, clock: EpisodeClock) -> None:
    """Prepare the policy and the tools that offer it, all at once."""
    # Looked up by name and not checked by type, because wrappers hand the attribute on.
    preparations = [tool.prepare() for tool in prompt.tools if hasattr(tool, "prepare")]
    if hasattr(policy, "prepare"):
        preparations.append(policy.prepare(prompt))

    async def prepare_all() -> None:
        await asyncio.gather(*preparations)

    if preparations:
        await clock.run_setup(prepare_all())


class _EpisodeLoop:
    """The turns of one episode, up to its answer or the end of its budget."""

    def __init__(
        self,
        prompt: EpisodePrompt,
        policy: Policy,
        clock: EpisodeClock,
        episode: Episode,
        calls: EpisodeCalls,
        sender: EventSender,
    ) -> None:
        self._agent = prompt.agent
        self._language = prompt.task.language
        self._policy = policy
        self._clock = clock
        self._episode = episode
        self._calls = calls
        self._sender = sender
        self._calls_announced = 0

    async def run_to_end(self) -> tuple[str | None, StopReason]:
        """(answer, stop reason)."""
        while True:
            turn = await self._next_turn()
            if turn is None:
                return None, STOP_REASON[TOKENS]
            requested = self._episode.spent_budget  # non-empty: this reply should be the answer
            reply = self._episode.add_reply(turn)
            if reply.thought:
                self._sender.send(ThoughtEvent(len(self._episode.turns) - 1, reply.thought))
            if reply.answer is not None:
                return reply.answer, "answered"
            if not turn.finished:
                if requested or not self._agent.ask_after_cut:
                    return None, STOP_REASON[TOKENS]
                attempts = [attempt for attempt in reply.attempts if attempt != NO_ATTEMPT]
                self._request_answer(TOKENS, self._skip_cut_attempts(attempts))
            elif requested:
                # The agent was to answer and went on calling, or wrote neither.
                return None, STOP_REASON[requested] if reply.calls else "malformed"
            else:
                await self._run_calls(reply)

    async def _next_turn(self) -> PolicyTurn | None:
        """The next reply. None when not even a short form of the last observations leaves room for
        one."""
        episode = self._episode
        turn = await self._clock.run_turn(self._policy.respond(episode.messages))
        # Without turns the question itself does not fit, and there is nothing to shorten.
        if turn is not None or not episode.turns:
            return turn
        shortened = [
            replace(observation, text=cut_bytes(observation.text, _SHORT_BYTES))
            for observation in episode.take_back_observations()
        ]
        # Without a recap: what was too long is not to have another cause.
        self._request_answer(TOKENS, shortened, recap=False)
        return await self._clock.run_turn(self._policy.respond(episode.messages))

    async def _run_calls(self, reply: ParsedReply) -> None:
        """Run the calls of a reply. Where that uses up a budget, ask for the answer as well."""
        on_result = self._announce_calls(reply.attempts)
        observations = await self._calls.run_attempts(reply.attempts, on_result)
        budget = find_spent_budget(self._agent, self._usage_with(observations))
        if budget:
            self._request_answer(budget, observations)
        else:
            self._episode.add_observations(observations)

    def _skip_cut_attempts(self, attempts: Sequence[Attempt]) -> list[ToolObservation]:
        """The calls of a reply that was cut off are not run: the last may be incomplete."""
        on_result = self._announce_calls(attempts)
        skipped = [skip_attempt(attempt, CUT_OFF) for attempt in attempts]
        for place, observation in enumerate(skipped):
            on_result(place, observation)
        return skipped

    def _announce_calls(self, attempts: Sequence[Attempt]) -> OnResult:
        """Tell the observer the calls of a reply; what is returned tells it their results."""
        turn = len(self._episode.turns) - 1
        first = self._calls_announced
        self._calls_announced += len(attempts)
        for number, attempt in enumerate(attempts, first):
            self._sender.send(build_call_event(turn, number, attempt))
        control_tokens = self._episode.control_tokens

        def send_result(place: int, observation: ToolObservation) -> None:
            if self._sender.has_observer:
                # As the agent reads it.
                text = defuse(observation.text, control_tokens)
                defused = replace(observation, text=text)
                self._sender.send(build_result_event(turn, first + place, defused))

        return send_result

    def _usage_with(self, observations: Sequence[ToolObservation]) -> EpisodeUsage:
        """The usage once these observations are part of the dialogue."""
        context = self._episode.context_tokens
        if context:  # 0: the policy counts no tokens
            texts = [observation.text for observation in observations]
            context += estimate_tokens(render_responses(texts))
        return EpisodeUsage(
            self._calls.call_count,
            self._calls.repeat_count,
            context,
            self._clock.elapsed_seconds(),
            self._episode.spent_tokens,
            self._episode.spent_usd,
        )

    def _request_answer(
        self, budget: Budget, observations: Sequence[ToolObservation], *, recap: bool = True
    ) -> None:
        """Show the last observations, as far as they leave room, and ask for the answer."""
        episode = self._episode
        episode.spent_budget = budget
        self._sender.send(AnswerRequestEvent(len(episode.turns) - 1, budget))
        # Before the recap is written, because it covers these observations too.
        episode.turns[-1] = replace(episode.turns[-1], observations=tuple(observations))
        frame = render_responses([""] * len(observations))
        tail = answer_request(self._language)
        if recap and uses_recap(self._agent):
            room = count_recap_room(self._agent, episode.context_tokens, frame + tail)
            tail = answer_request(self._language, build_state(episode.turns), room)
        frame += tail
        texts = [observation.text for observation in observations]
        texts = cut_observations(texts, self._agent, episode.context_tokens, frame)
        shortened = [
            replace(observation, text=text)
            for observation, text in zip(observations, texts, strict=True)
        ]
        episode.add_observations(shortened, tail)


def uses_recap(agent: AgentConfig) -> bool:
    """Whether the last request repeats evidence and candidates: small models, which have the short
    prompt, are only kept from their answer by it."""
    return agent.prompt == "full" if agent.recap is None else agent.recap
