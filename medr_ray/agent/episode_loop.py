"""The reason-act loop: one task, one policy, real tools, a budget; a Trajectory comes out.

What holds: every reply ends up in the dialogue as it was given; every call gets exactly one
response, in call order; a tool's failure is an observation, a malformed call is answered with what
is wrong; when calls, tokens or seconds are nearly spent, or the agent goes in circles, it is asked
once for its answer. Infrastructure failures leave as InfrastructureError and never as a trajectory;
nothing that hangs holds the rollout beyond its deadline.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from medr_ray.agent.calls import CUT_OFF, Calls, CallSettings, skipped
from medr_ray.agent.deadlines import Clock
from medr_ray.agent.episode import Episode
from medr_ray.agent.episode_budget import (
    STOP_REASON,
    TOKENS,
    Spent,
    cut_bytes,
    estimated_tokens,
    nearly_spent,
    shown_last,
)
from medr_ray.agent.faults import NO_FAULTS, FaultPlan
from medr_ray.agent.instructions import Briefing, wrap_up
from medr_ray.agent.policies import Policy, PolicyTurn
from medr_ray.agent.protocol import NO_ATTEMPT, Reply, render_responses
from medr_ray.agent.state import state_of
from medr_ray.agent.tool_policy import prior_of
from medr_ray.agent.transcript import Observed
from medr_ray.core.config import AgentConfig
from medr_ray.core.records import Budget, StopReason, Task, Trajectory
from medr_ray.tools.base import Tool, for_episode

__all__ = ["NO_FAULTS", "FaultPlan", "run_episode"]
_SHORT = 200  # bytes of each response that are shown again where the whole did not fit


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
) -> Trajectory:
    """Run the agent to its answer or the end of its budget.

    A policy or a tool that offers ``async prepare`` is prepared first (see ``policies.Policy``).
    ``rarity`` gives a word's weight for the tool policy, where one is configured (see
    ``tool_features``). Raises InfrastructureError when a deadline of ``agent`` passes, the policy
    cannot be reached or a tool breaks.
    """
    clock, tools = Clock(task.task_id, agent), for_episode(tools)
    briefing = Briefing(task, tuple(tools), agent, prior_of(agent, task.text, tools, rarity))
    await _set_up(policy, briefing, clock)
    episode = Episode(briefing.opening(), tuple(getattr(policy, "control_tokens", ())))
    calls = Calls(tools, CallSettings(task, rollout, agent, faults, clock))
    answer, stop_reason = await _Run(briefing, policy, clock, episode, calls).to_the_end()
    return episode.trajectory(task, mode, rollout, answer, stop_reason)


async def _set_up(policy: Policy, briefing: Briefing, clock: Clock) -> None:
    """Prepare what asks for it. Wrappers may hand the attribute on, so it is looked up and not
    checked for by type."""
    waiting = [one.prepare() for one in briefing.tools if hasattr(one, "prepare")]
    if hasattr(policy, "prepare"):
        waiting.append(policy.prepare(briefing))

    async def everything() -> None:
        await asyncio.gather(*waiting)

    if waiting:
        await clock.set_up(everything())


class _Run:
    def __init__(
        self, briefing: Briefing, policy: Policy, clock: Clock, episode: Episode, calls: Calls
    ) -> None:
        self._agent, self._language = briefing.agent, briefing.task.language
        self._policy, self._clock, self._episode, self._calls = policy, clock, episode, calls

    async def to_the_end(self) -> tuple[str | None, StopReason]:
        """(answer, stop reason)."""
        while True:
            turn = await self._turn()
            if turn is None:
                return None, STOP_REASON[TOKENS]
            asked = self._episode.asked
            reply = self._episode.reply(turn)
            if reply.answer is not None:
                return reply.answer, "answered"
            if not turn.finished:
                if asked or not self._agent.ask_after_cut:
                    return None, STOP_REASON[TOKENS]
                self._ask(
                    TOKENS, [skipped(one, CUT_OFF) for one in reply.attempts if one != NO_ATTEMPT]
                )
            elif asked:
                return None, STOP_REASON[asked] if reply.calls else "malformed"
            else:
                await self._observe(reply)

    async def _turn(self) -> PolicyTurn | None:
        """The next reply; None when not even a short form of the last observation leaves room for
        one."""
        episode = self._episode
        turn = await self._clock.turn(self._policy.respond(episode.messages))
        if turn is not None or not episode.steps:
            return turn
        observed = [replace(one, text=cut_bytes(one.text, _SHORT)) for one in episode.take_back()]
        self._ask(TOKENS, observed)
        return await self._clock.turn(self._policy.respond(episode.messages))

    async def _observe(self, reply: Reply) -> None:
        """Answer the calls of a reply; where that uses up the budget, ask for the answer as
        well."""
        observed = await self._calls.answer(reply.attempts)
        shown = estimated_tokens(render_responses([one.text for one in observed]))
        context = self._episode.context
        reason = nearly_spent(
            self._agent,
            Spent(
                self._calls.made,
                self._calls.repeats,
                context and context + shown,
                self._clock.elapsed(),
            ),
        )
        if reason:
            self._ask(reason, observed)
        else:
            self._episode.observe(observed)

    def _ask(self, reason: Budget, observed: Sequence[Observed]) -> None:
        """The last observations, as far as they leave room, and the request for an answer."""
        episode, agent = self._episode, self._agent
        episode.asked = reason
        episode.steps[-1] = replace(episode.steps[-1], observed=tuple(observed))
        tail = wrap_up(self._language, state_of(episode.steps) if agent.recap else None)
        frame = render_responses([""] * len(observed)) + tail
        texts = shown_last([one.text for one in observed], agent, episode.context, frame)
        episode.observe(
            [replace(one, text=text) for one, text in zip(observed, texts, strict=True)], tail
        )
