"""The growing record of one run, and the trajectory it becomes."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from medr_ray.agent.foreign_text import well_formed
from medr_ray.agent.policies import PolicyTurn
from medr_ray.agent.protocol import Reply, parse_reply, render_responses
from medr_ray.agent.state import state_of
from medr_ray.agent.transcript import Observed, Step
from medr_ray.core.records import (
    Budget,
    Message,
    StopReason,
    Task,
    Trajectory,
    Turn,
    Usage,
    content_id,
)


@dataclass
class Episode:
    """What was said so far. ``context``: tokens of the dialogue after the last reply, 0 where the
    policy counts none; ``asked``: what was nearly spent when the answer was asked for."""

    messages: list[Message]
    control_tokens: tuple[str, ...] = ()
    turns: list[Turn] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    context: int = 0
    asked: Budget | Literal[""] = ""
    _prompt_tokens: int = 0
    _output_tokens: int = 0
    _cost: float | None = 0.0

    def reply(self, turn: PolicyTurn) -> Reply:
        """Take down a reply as it was given."""
        text = well_formed(turn.text)
        self.messages.append(Message("assistant", text))
        if turn.turn.output_ids:
            self.turns.append(turn.turn)
        self._prompt_tokens += turn.prompt_tokens
        self._output_tokens += turn.output_tokens
        self._cost = None if self._cost is None or turn.usd is None else self._cost + turn.usd
        self.context = turn.prompt_tokens + turn.output_tokens
        reply = parse_reply(text)
        self.steps.append(Step(reply.thought, reply.answer))
        return reply

    def observe(self, observed: Sequence[Observed], tail: str = "") -> None:
        """The responses to the last reply, and what is said behind them."""
        self.steps[-1] = replace(self.steps[-1], observed=tuple(observed))
        parts = [render_responses([one.text for one in observed], self.control_tokens), tail]
        self.messages.append(Message("user", "\n".join(filter(None, parts))))

    def take_back(self) -> tuple[Observed, ...]:
        """The last responses, which nobody has replied to, back from the dialogue."""
        self.messages.pop()
        return self.steps[-1].observed

    def trajectory(
        self, task: Task, mode: str, rollout: int, answer: str | None, stop: StopReason
    ) -> Trajectory:
        """The finished record."""
        events = tuple(one.event for step in self.steps for one in step.observed)
        state = state_of(self.steps)
        dialogue = [[m.role, m.content] for m in self.messages]
        return Trajectory(
            trajectory_id=content_id("traj", task.task_id, mode, rollout, dialogue),
            question_id=task.task_id,
            mode=mode,
            rollout=rollout,
            messages=tuple(self.messages),
            turns=tuple(self.turns),
            tool_events=events,
            documents=tuple(dict.fromkeys(one for event in events for one in event.documents)),
            answer=answer,
            stop_reason=stop,
            usage=Usage(self._prompt_tokens, self._output_tokens, len(self.steps)),
            cost=self._cost if self.steps else None,
            asked=self.asked,
            evidence=state.evidence,
            hypotheses=state.hypotheses,
        )
