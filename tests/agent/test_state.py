"""The agent's state: the hypotheses it stated explicitly, and which documents it saw name them."""

import pytest
from support.agent_run import Echo, call, run

from medr_ray.agent.state import (
    ANSWER,
    CANDIDATE,
    FINDING,
    build_state,
    document_passages,
    find_hypotheses,
)
from medr_ray.agent.transcript import ReplyTurn, ToolObservation, read_turns
from medr_ray.agent.wording import content_words, find_names
from medr_ray.core.records import EvidenceEdge, Hypothesis, ToolEvent
from medr_ray.tools.base import ToolResult


@pytest.mark.parametrize(
    ("thought", "named"),
    [
        (
            "The symptoms fit.\nCandidate: **Krabbe disease**\nI check it.",
            [(CANDIDATE, "Krabbe disease")],
        ),
        ("Candidate: Krabbe disease. I look for its onset.", [(CANDIDATE, "Krabbe disease")]),
        (
            "So the answer is likely Krabbe disease, because of the onset.",
            [(CANDIDATE, "Krabbe disease")],
        ),
        ("the answer might be GALC; the answer must be GALC", [(CANDIDATE, "GALC")]),
        (
            "Candidates: GALC; GLA. I look at both.",
            [(CANDIDATE, "GALC"), (CANDIDATE, "GLA")],
        ),
        ("Candidate: GALC (HPO:1; OMIM:2).", [(CANDIDATE, "GALC")]),
        ("答案为GALC（HPO:1；OMIM:2）。", [(CANDIDATE, "GALC")]),
        ("Candidate: Arm B (P+T+C).", [(CANDIDATE, "Arm B (P+T+C)")]),
        ("Candidate: GALC; I check it.", [(CANDIDATE, "GALC")]),
        ("候选：克拉伯病；法布里病。再查。", [(CANDIDATE, "克拉伯病"), (CANDIDATE, "法布里病")]),
        ("候选答案:克拉伯病。还需核实。", [(CANDIDATE, "克拉伯病")]),
        ("候选答案：克拉伯病；还需核实。", [(CANDIDATE, "克拉伯病")]),
        ("答案可能是：GALC 基因，需要核实", [(CANDIDATE, "GALC 基因")]),
        ("答案可能是 GALC 基因,需要核实", [(CANDIDATE, "GALC 基因")]),
        ("gene associated with Krabbe disease = GALC. I need its function.", [(FINDING, "GALC")]),
        ("a of b = X.\nc of d = Y v1.2. I need more.", [(FINDING, "X"), (FINDING, "Y v1.2")]),
        ("NCT00367016 的药物 = 奥马珠单抗。接下来查评分。", [(FINDING, "奥马珠单抗")]),
        ("p = 0.05. The answer is not known yet.", []),
        ("The answer is unclear. The answer is in the record. 答案是不确定的。", []),
        ("I need the mode of inheritance of Krabbe disease.", []),
        (f"the answer is {'very ' * 40}long.", []),
    ],
)
def test_hypotheses_are_read_from_plain_statements_only(
    thought: str, named: list[tuple[str, str]]
) -> None:
    assert find_hypotheses(thought) == named


def test_reading_a_long_thought_takes_no_time_to_speak_of() -> None:
    assert find_hypotheses("word " * 20_000 + "= " * 2000 + "a = b" * 500)


def observed(text: str, *documents: str, query: str = "q") -> ToolObservation:
    return ToolObservation(
        ToolEvent("search", f'{{"query": "{query}"}}', "ok", 0.1, False, documents=documents), text
    )


def test_the_graph_joins_queries_documents_and_what_they_name() -> None:
    first = observed(
        "[1] Krabbe disease (HPO:1): caused by GALC.\n[2] Leukodystrophy (PMID:12): rare.",
        "HPO:1",
        "PMID:12",
        query="gene of Krabbe",
    )
    second = observed("nothing new", "PMID:123", query="GALC")
    state = build_state(
        [
            ReplyTurn("find it", observations=(first,)),
            ReplyTurn("gene of it = GALC. go on", observations=(second,)),
            ReplyTurn("done", answer="Krabbe disease"),
        ]
    )
    assert state.hypotheses == (
        Hypothesis("GALC", FINDING, 1),
        Hypothesis("Krabbe disease", ANSWER, 2),
    )
    assert state.evidence == (
        EvidenceEdge("found", "gene of Krabbe", "HPO:1", 0),
        EvidenceEdge("names", "HPO:1", "GALC", 0),
        EvidenceEdge("names", "HPO:1", "Krabbe disease", 0),
        EvidenceEdge("found", "gene of Krabbe", "PMID:12", 0),
        EvidenceEdge("found", "GALC", "PMID:123", 1),
    )


def test_a_passage_belongs_to_the_document_whose_line_opens_it() -> None:
    text = "preface\n[1] a (PMID:12): x\nmore of it\n[2] b (PMID:123): y"
    assert document_passages(observed(text, "PMID:12", "PMID:123")) == [
        ("PMID:12", "[1] a (PMID:12): x\nmore of it"),
        ("PMID:123", "[2] b (PMID:123): y"),
    ]
    assert document_passages(observed("whole page", "https://x/y")) == [
        ("https://x/y", "whole page")
    ]
    assert document_passages(observed("No results.")) == []


def test_a_run_records_its_state() -> None:
    class Records(Echo):
        async def _answer(self, query: str) -> ToolResult:
            return ToolResult(f"[1] Krabbe (HPO:1): {query} is GALC.", ("HPO:1",))

    trajectory = run(
        call("the gene"),
        "<think>gene of Krabbe = GALC.</think><answer>GALC</answer>",
        tools=[Records()],
    )
    assert trajectory.hypotheses == (Hypothesis("GALC", FINDING, 1), Hypothesis("GALC", ANSWER, 1))
    assert trajectory.evidence == (
        EvidenceEdge("found", "the gene", "HPO:1", 0),
        EvidenceEdge("names", "HPO:1", "GALC", 0),
    )
    assert build_state(read_turns(trajectory)).evidence == trajectory.evidence


def test_a_finished_run_reads_back_as_its_turns() -> None:
    turns = read_turns(run(call("a", "fail"), call("b", "c", "d"), max_tool_calls=4))
    assert [[observation.event.status for observation in turn.observations] for turn in turns] == [
        ["ok", "error"],
        ["ok", "ok", "skipped"],
        [],
    ]
    assert [observation.text for observation in turns[1].observations[:2]] == ["found b", "found c"]
    assert (turns[0].thought, turns[-1].answer) == ("look", "x")


@pytest.mark.parametrize(
    ("text", "name", "there"),
    [
        ("Krabbe  disease (GLD)", "krabbe disease", True),
        ("the GALC2 gene", "GALC", False),
        ("GALC.", "GALC", True),
        ("患者患有克拉伯病三年", "克拉伯病", True),
        ("anything", "", False),
        ("IL-6R", "IL-6", False),
        ("Behçet’s disease", "behçet's disease", True),
        ("submission status date: 2001-11-14; x", "14 November 2001", True),
        ("approval date: Nov 14, 2001", "2001年11月14日", True),
        ("approval date: Nov 4, 2001", "14 November 2001", False),
    ],
)
def test_a_name_is_found_as_a_whole_name(text: str, name: str, there: bool) -> None:
    assert bool(find_names(text, [name])) is there


def test_content_words_are_those_a_text_is_about() -> None:
    assert content_words("What is the age of onset of Krabbe disease?") == {
        "age",
        "onset",
        "krabbe",
        "disease",
    }
    assert content_words("克拉伯病") == {"克拉", "拉伯", "伯病"}


def status_of(name: str, *turns: ReplyTurn) -> str:
    statuses = {entry.text: entry.status for entry in build_state(turns).hypotheses}
    return statuses[name]


def searched(thought: str, *documents: str, tool: str = "search") -> ReplyTurn:
    """A reply whose call shows documents that say that GALC is the gene."""
    text = "\n".join(f"[1] a record ({document}): gene: GALC" for document in documents)
    event = ToolEvent(tool, '{"query": "q"}', "ok", 0.1, False, documents=documents)
    return ReplyTurn(thought, observations=(ToolObservation(event, text),))


STATED = ReplyTurn("Candidate: GALC.")
ANSWERED = ReplyTurn("done", answer="GALC")
OTHER_ANSWER = ReplyTurn("done", answer="GLA")


@pytest.mark.parametrize(
    ("turns", "status"),
    [
        ([searched("look", "HPO:1"), STATED], "open"),
        # The one that it was found in, and another.
        ([searched("look", "HPO:1"), STATED, searched("check", "OMIM:2")], "supported"),
        ([searched("look", "HPO:1"), STATED, searched("check", "HPO:1")], "open"),
        ([searched("look", "HPO:1"), STATED, searched("read", "HPO:1", tool="read")], "supported"),
        (
            [searched("look", "HPO:1", "OMIM:2"), STATED, ReplyTurn("GALC is ruled out.")],
            "rejected",
        ),
        ([STATED, ReplyTurn("GALC does not fit the onset.")], "rejected"),
        ([STATED, ReplyTurn("GALC does not fit. No, GALC it is.")], "open"),
        ([STATED, ReplyTurn("排除GALC。")], "rejected"),
        ([STATED, ReplyTurn("I rule out an error. I look at GALC.")], "open"),
        ([searched("look", "HPO:1", "OMIM:2"), STATED, OTHER_ANSWER], "rejected"),
        ([STATED, ReplyTurn("I go on with GALC."), OTHER_ANSWER], "open"),
        ([searched("look", "HPO:1", "OMIM:2"), STATED, ANSWERED], "supported"),
        ([ReplyTurn("gene of it = GALC."), OTHER_ANSWER], "open"),
    ],
)
def test_what_became_of_a_candidate(turns: list[ReplyTurn], status: str) -> None:
    assert status_of("GALC", *turns) == status


def test_of_several_candidates_those_that_the_choice_passes_over_are_rejected() -> None:
    several = ReplyTurn("Candidates: GALC; GLA.")
    looking = ReplyTurn("First the onset of GLA.")
    chosen = ReplyTurn("The others drop out, and GALC stays.")
    both = ReplyTurn("I compare GALC and GLA.")
    assert status_of("GLA", several, looking, ReplyTurn("That leaves GALC.")) == "rejected"
    assert status_of("GALC", several, looking, ReplyTurn("That leaves GALC.")) == "open"
    assert status_of("GLA", several, looking, both) == "open"
    assert status_of("GLA", several, looking, chosen) == "rejected"
    assert status_of("GALC", several, looking, chosen) == "open"


def test_a_text_that_stands_in_any_document_is_supported_by_none() -> None:
    response = observed("[1] a (A:1): 5\n[2] b (B:2): 5", "A:1", "B:2")
    turns = [ReplyTurn("look", observations=(response,)), ReplyTurn("Candidate: 5")]
    assert status_of("5", *turns) == "open"


def test_rows_of_an_earlier_form_have_open_hypotheses() -> None:
    from medr_ray.core.records.arrow import from_row

    row = {"text": "GALC", "kind": "candidate", "reply": 1}
    assert from_row(Hypothesis, row) == Hypothesis("GALC", CANDIDATE, 1, "open")
