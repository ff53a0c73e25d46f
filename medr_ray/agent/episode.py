"""The growing record of one run, and the trajectory it becomes."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from medr_ray.agent.policies import PolicyTurn
from medr_ray.agent.protocol import ParsedReply, parse_reply, render_responses
from medr_ray.agent.state import build_state
from medr_ray.agent.transcript import ReplyTurn, ToolObservation
from medr_ray.core.json_text import replace_surrogates
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
    """The dialogue so far.

    ``context_tokens`` counts the dialogue's tokens after the last reply, 0 where the policy counts
    none. ``spent_budget`` is what was nearly spent when the agent was asked for its answer, ""
    until then.
    """

    messages: list[Message]
    control_tokens: tuple[str, ...] = ()
    token_turns: list[Turn] = field(default_factory=list)
    turns: list[ReplyTurn] = field(default_factory=list)
    context_tokens: int = 0
    spent_budget: Budget | Literal[""] = ""
    _prompt_tokens: int = 0
    _output_tokens: int = 0
    _usd: float | None = 0.0

    def add_reply(self, turn: PolicyTurn) -> ParsedReply:
        """Record a reply as it was given, and parse it."""
        # The only change: lone surrogates, which no file can hold.
        text = replace_surrogates(turn.text)
        self.messages.append(Message("assistant", text))
        if turn.turn.output_ids:
            self.token_turns.append(turn.turn)
        self._add_usage(turn)
        reply = parse_reply(text)
        self.turns.append(ReplyTurn(reply.thought, reply.answer))
        return reply

    def _add_usage(self, turn: PolicyTurn) -> None:
        self._prompt_tokens += turn.prompt_tokens
        self._output_tokens += turn.output_tokens
        self.context_tokens = turn.prompt_tokens + turn.output_tokens
        # One reply of unknown cost makes the episode's cost unknown.
        if self._usd is None or turn.usd is None:
            self._usd = None
        else:
            self._usd += turn.usd

    @property
    def spent_tokens(self) -> int:
        """Tokens read and written by all replies."""
        return self._prompt_tokens + self._output_tokens

    @property
    def spent_usd(self) -> float:
        """What the replies have cost, 0 where that is not known."""
        return self._usd or 0.0

    def add_observations(self, observations: Sequence[ToolObservation], tail: str = "") -> None:
        """Add the responses to the last reply, and ``tail`` behind them."""
        self.turns[-1] = replace(self.turns[-1], observations=tuple(observations))
        texts = [observation.text for observation in observations]
        parts = [render_responses(texts, self.control_tokens), tail]  # only the texts are defused
        self.messages.append(Message("user", "\n".join(filter(None, parts))))

    def take_back_observations(self) -> tuple[ToolObservation, ...]:
        """Remove the last responses, which nobody has replied to, and return them."""
        self.messages.pop()
        return self.turns[-1].observations

    def build_trajectory(
        self, task: Task, mode: str, rollout: int, answer: str | None, stop: StopReason
    ) -> Trajectory:
        """The finished record. Its id follows from the task, the mode, the rollout's number and the
        dialogue."""
        events = tuple(
            observation.event for turn in self.turns for observation in turn.observations
        )
        documents = dict.fromkeys(document for event in events for document in event.documents)
        state = build_state(self.turns)
        # Neither times nor costs: equal dialogues have equal ids.
        dialogue = [[message.role, message.content] for message in self.messages]
        return Trajectory(
            trajectory_id=content_id("traj", task.task_id, mode, rollout, dialogue),
            question_id=task.task_id,
            mode=mode,
            rollout=rollout,
            messages=tuple(self.messages),
            turns=tuple(self.token_turns),
            tool_events=events,
            documents=tuple(documents),
            answer=answer,
            stop_reason=stop,
            usage=Usage(self._prompt_tokens, self._output_tokens, len(self.turns)),
            cost=self._usd if self.turns else None,
            asked=self.spent_budget,
            evidence=state.evidence,
            hypotheses=state.hypotheses,
        )
