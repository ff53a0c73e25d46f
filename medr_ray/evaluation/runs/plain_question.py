"""A question without an agent: one message, one reply."""

import asyncio
import re
from typing import get_args

from medr_ray.agent.policies import Complete
from medr_ray.core.config import AgentConfig
from medr_ray.core.errors import InfrastructureError
from medr_ray.core.json_text import replace_surrogates
from medr_ray.core.parts import digest
from medr_ray.core.prompts import read_prompt
from medr_ray.core.records import Language, Message, StopReason, Task, Trajectory, Usage, content_id
from medr_ray.llm.completions import ChatResult
from medr_ray.llm.failures import ContextLengthExceeded
from medr_ray.llm.thoughts import split_thought

_PACKAGE = "medr_ray.evaluation"
_PROMPT = "plain"
# The last line of a reply as the prompt asks for it.
_ANSWER_LINE = re.compile(
    r"^[\s*_#>]*(?:final answer|answer|最终答案|答案)[\s*_]*[:：][\s*_]*(?P<answer>.*)$",
    re.IGNORECASE | re.MULTILINE,
)
_EMPTY_LINE = re.compile(r"\n\s*\n")


def digest_prompts() -> str:
    """A text that changes with the prompts."""
    return digest([read_prompt(_PACKAGE, _PROMPT, language) for language in get_args(Language)])


def build_prompt(task: Task) -> str:
    """The one message. The text of the task has the options of a choice."""
    template = read_prompt(_PACKAGE, _PROMPT, task.language)
    return template.replace("{question}", task.text).strip()


def read_plain_answer(reply: str) -> str | None:
    """What stands behind the last "Answer:", else the whole reply without its thought; None where
    nothing is left."""
    text = split_thought(reply).rest.strip()
    statements = list(_ANSWER_LINE.finditer(text))
    if statements:
        # A list may go on below the line, an explanation follows an empty one.
        rest = text[statements[-1].start("answer") :].strip()
        answer = _EMPTY_LINE.split(rest)[0].strip().strip("*_").strip()
        return answer or None
    return text or None


async def ask_plainly(
    task: Task,
    complete: Complete,
    agent: AgentConfig,
    *,
    mode: str,
    rollout: int,
) -> Trajectory:
    """Ask once, within ``agent.seconds``.

    Raises InfrastructureError when there is no reply by then, or the endpoint cannot be reached.
    """
    prompt = build_prompt(task)
    try:
        async with asyncio.timeout(agent.seconds):
            result = await complete([{"role": "user", "content": prompt}])
    except TimeoutError:
        raise InfrastructureError(f"{task.task_id}: no reply within {agent.seconds:g} s") from None
    except ContextLengthExceeded:
        # The question alone is too long for the model.
        return _build_trajectory(task, mode, rollout, prompt, None)
    return _build_trajectory(task, mode, rollout, prompt, result)


def _build_trajectory(
    task: Task, mode: str, rollout: int, prompt: str, result: ChatResult | None
) -> Trajectory:
    """The record of one question; ``result`` is None where the model could not take it."""
    messages = [Message("user", prompt)]
    answer = None
    stop_reason: StopReason = "max_tokens"
    if result is not None:
        text = replace_surrogates(result.text)
        messages.append(Message("assistant", text))
        if result.finish_reason != "length":
            answer = read_plain_answer(text)
            stop_reason = "malformed" if answer is None else "answered"
    return Trajectory(
        trajectory_id=content_id(
            "traj", task.task_id, mode, rollout, [message.content for message in messages]
        ),
        question_id=task.task_id,
        mode=mode,
        rollout=rollout,
        messages=tuple(messages),
        turns=(),
        tool_events=(),
        documents=(),
        answer=answer,
        stop_reason=stop_reason,
        usage=Usage(result.prompt_tokens, result.output_tokens, 1) if result else Usage(0, 0, 0),
        cost=result.usd if result else None,
    )
