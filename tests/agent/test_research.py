"""One question researched, and questions that follow one another."""

import asyncio

import pytest
from support.agent_run import Echo, Script, call

from medr_ray.agent.dialogue import Exchange, ResearchLimits, word_question
from medr_ray.agent.events import AnswerEvent, EpisodeEvent, ErrorEvent, StartEvent
from medr_ray.agent.protocol import render_reply
from medr_ray.agent.research import Researcher
from medr_ray.agent.wording import detect_language
from medr_ray.core.config import AgentConfig
from medr_ray.tools.registry import Toolbox

AGENT = AgentConfig(max_tokens=400, max_turn_tokens=32)


def research(script: Script, question: str = "q?", *earlier: Exchange) -> list[EpisodeEvent]:
    researcher = Researcher(AGENT, Toolbox([Echo()]), lambda: script, "m", {})
    seen: list[EpisodeEvent] = []
    end = asyncio.run(researcher.research(question, seen.append, earlier=earlier))
    assert seen[-1] is end
    return seen


def test_an_infrastructure_failure_is_the_end_of_the_events() -> None:
    events = research(Script(call("break")))
    assert isinstance(events[-1], ErrorEvent)
    assert "the index is gone" in events[-1].message
    assert not any(isinstance(event, AnswerEvent) for event in events)


def test_a_first_question_stands_alone_in_front_of_the_model() -> None:
    script = Script(render_reply("t", answer="x"))
    research(script, "How is Krabbe disease inherited?")
    assert script.heard[0][1].content == "How is Krabbe disease inherited?"


def test_a_later_question_comes_with_those_before_and_is_shown_alone() -> None:
    script = Script(render_reply("t", answer="x"))
    events = research(script, "And which gene?", Exchange("How is it inherited?", "recessive"))
    assert script.heard[0][1].content == (
        "Earlier in this conversation:\nQuestion: How is it inherited?\nAnswer: recessive\n\n"
        "Now: And which gene?"
    )
    assert isinstance(events[0], StartEvent)
    assert events[0].question == "And which gene?"


def test_the_oldest_exchanges_give_way() -> None:
    earlier = [Exchange(f"question {number}?", "word " * 30) for number in range(9)]
    text = word_question("now?", earlier, "en", AGENT)
    assert "question 8?" in text
    assert "question 0?" not in text
    assert word_question("现在？", earlier[:1], "zh", AGENT).startswith("此前的对话")


def test_a_request_can_only_lower_the_limits() -> None:
    limits = ResearchLimits(max_tool_calls=99, seconds=5)
    agent = limits.apply(AgentConfig(max_tool_calls=4, seconds=300))
    assert (agent.max_tool_calls, agent.seconds) == (4, 5)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Which gene is mutated in Krabbe disease?", "en"),
        ("克拉伯病是由哪个基因突变引起的？", "zh"),
        ("LiverTox 给波生坦（bosentan）的评分是多少？", "zh"),
        ("What is 黄连素 used for?", "en"),
        ("42?", "en"),
    ],
)
def test_the_language_is_that_of_the_question(text: str, language: str) -> None:
    assert detect_language(text) == language
