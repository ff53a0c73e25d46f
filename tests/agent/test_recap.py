"""The recap in the last request for an answer: what it lists, and that it costs no answer."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.agent_run import Echo, Script, call, run

from medr_ray.agent.episode_budget import cut_to_tokens, estimate_tokens
from medr_ray.agent.episode_loop import uses_recap
from medr_ray.agent.instructions import answer_request
from medr_ray.agent.policies import PolicyTurn
from medr_ray.agent.state import AgentState
from medr_ray.core.config import AgentConfig
from medr_ray.core.records import EvidenceEdge, Hypothesis, Language, Message
from medr_ray.tools.base import ToolResult

_STATE = AgentState(
    (
        EvidenceEdge("found", "FANCD2 gene", "HPO:OMIM:227646", 0),
        EvidenceEdge("found", "FANCD2 complementation group", "PMID:20301575", 1),
        EvidenceEdge("names", "PMID:20301575", "Fanconi anemia", 1),
    ),
    (
        Hypothesis("FANCD2 anemia", "candidate", 0, "rejected"),
        Hypothesis("Fanconi anemia", "candidate", 1, "supported"),
    ),
)


@pytest.mark.parametrize(
    ("language", "lines"),
    [
        ("en", ["- FANCD2 anemia [rejected]: -", "- Fanconi anemia [supported]: PMID:20301575"]),
        ("zh", ["- FANCD2 anemia [已放弃]: -", "- Fanconi anemia [有证据支持]: PMID:20301575"]),
    ],
)
def test_a_recap_lists_documents_by_query_and_candidates_with_their_status(
    language: Language, lines: list[str]
) -> None:
    recap = answer_request(language, _STATE, 500).splitlines()
    assert recap[1:3] == [
        "- FANCD2 gene: HPO:OMIM:227646",
        "- FANCD2 complementation group: PMID:20301575",
    ]
    assert recap[4:6] == lines
    assert recap[6:] == [answer_request(language)]


def test_without_room_the_oldest_is_left_out_first_and_the_candidate_last() -> None:
    whole = answer_request("en", _STATE, 500)
    requests = (answer_request("en", _STATE, room) for room in range(120))
    plain, *recaps = dict.fromkeys(requests)
    assert plain == answer_request("en")
    assert recaps[-1] == whole
    last_candidate = "- Fanconi anemia [supported]: PMID:20301575"
    assert all(last_candidate in recap for recap in recaps)
    assert ["FANCD2 gene" in recap for recap in recaps] == [False, False, False, True]


def test_without_anything_gathered_there_is_no_recap() -> None:
    assert answer_request("en", AgentState((), ()), 500) == answer_request("en")


@given(st.text(max_size=300), st.integers(min_value=2, max_value=60))
def test_a_text_is_cut_to_its_tokens(text: str, limit: int) -> None:
    cut = cut_to_tokens(text, limit)
    assert estimate_tokens(cut) <= limit
    assert cut == text or cut.endswith("…")


class _Records(Echo):
    """Answers with lines of a record, as full of numbers as these are."""

    async def _answer(self, query: str) -> ToolResult:
        documents = tuple(f"NCT:NCT{number:08}" for number in range(len(query)))
        lines = [f"[1] {query} ({document}): enrollment count: 1234" for document in documents]
        return ToolResult("\n".join(lines), documents)


class _CountedScript(Script):
    """Says how many tokens its dialogue has."""

    async def respond(self, messages: list[Message]) -> PolicyTurn | None:
        turn = await super().respond(messages)
        assert turn is not None
        tokens = sum(estimate_tokens(message.content) for message in messages)
        return PolicyTurn(turn.text, prompt_tokens=tokens, output_tokens=estimate_tokens(turn.text))


def _count_last_prompt(policy: _CountedScript) -> int:
    return sum(estimate_tokens(message.content) for message in policy.heard[-1])


@settings(deadline=None)
@given(
    st.lists(st.text("abcDEF019 ", min_size=1, max_size=40), min_size=1, max_size=6),
    st.integers(min_value=400, max_value=2000),
    st.integers(min_value=16, max_value=200),
)
def test_a_recap_never_takes_the_room_of_the_answer(
    queries: list[str], max_tokens: int, max_turn_tokens: int
) -> None:
    prompts = []
    for recap in (False, True):
        lines = [call(query, thought=f"Candidate: {query}.") for query in queries]
        policy = _CountedScript(*lines)
        run(
            policy=policy,
            tools=[_Records()],
            max_tokens=max_tokens,
            max_turn_tokens=max_turn_tokens,
            max_tool_calls=4,
            recap=recap,
        )
        prompts.append(_count_last_prompt(policy))
    without, with_recap = prompts
    room = max_tokens - max_turn_tokens
    assert with_recap <= max(room, without)


@pytest.mark.parametrize(
    ("settings_", "expected"),
    [({}, True), ({"prompt": "short"}, False), ({"recap": False}, False)],
)
def test_the_full_prompt_comes_with_a_recap_the_short_one_without(
    settings_: dict[str, object], expected: bool
) -> None:
    assert uses_recap(AgentConfig.model_validate(settings_)) == expected


def test_a_recap_is_in_the_last_request_alone() -> None:
    trajectory = run(call("a"), call("b"), max_tool_calls=2)
    texts = [message.content for message in trajectory.messages if message.role == "user"]
    assert ["What you gathered" in text for text in texts] == [False, False, True]
