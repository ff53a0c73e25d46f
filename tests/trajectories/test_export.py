"""Exported rows are complete and of the shapes that other trainers load, and nothing in them is
guidance."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.agent_run import Echo, call, run
from support.questions import worded_question

from medr_ray.agent.instructions import EpisodePrompt
from medr_ray.agent.native import render_native_reply
from medr_ray.agent.protocol import ToolCall, parse_reply, parse_responses, render_reply
from medr_ray.agent.protocol import render_responses as respond
from medr_ray.core.config import AgentConfig, PipelineConfig, SFTConfig
from medr_ray.core.errors import DataError
from medr_ray.core.records import (
    FilteredTrajectory,
    GuidanceStep,
    Message,
    Placeholder,
    Trajectory,
    TurnLabels,
    Usage,
)
from medr_ray.llm.completions import FunctionCall
from medr_ray.tools.registry import Toolbox
from medr_ray.training.sft_data import NumberedDialogue, read_file_dialogues
from medr_ray.trajectories.export import (
    EXPORT_FORMATS,
    ExportFormat,
    NativeTools,
    build_chat_row,
    build_sharegpt_row,
    build_tool_calls_row,
    render_native_dialogue,
)
from medr_ray.trajectories.export_files import write_rows
from medr_ray.trajectories.filtering import find_leak
from medr_ray.trajectories.preference_pairs import build_pair_row, find_pairs

SECRET = "sesame"
QUESTION = replace(
    worded_question("Which gene <is> it — 哪个基因?", "GALC"),
    guidance=(GuidanceStep(f"Entity_A {SECRET}", "gene_of_disease", "gene"),),
    cheat_sheet=f"[MASK] is {SECRET}",
    entity_mapping=(Placeholder("Entity_A", f"OMIM:{SECRET}"),),
)
MESSAGES = (
    Message("system", "You are an agent."),
    Message("user", QUESTION.task.text),
    Message(
        "assistant",
        render_reply("look\n", [ToolCall("search", {"query": "Marfan syndrome"})]),
    ),
    Message("user", respond(["p<0.05"])),
    Message("assistant", render_reply("found", answer="GALC")),
)
TRAJECTORY = Trajectory(
    "traj-1", "q-1", "guided", 0, MESSAGES, (), (), (), "GALC", "answered", Usage(0, 0, 0), None
)
LABELS = (TurnLabels(0, ("found_needed_fact", "verification")), TurnLabels(1, ()))
ACCEPTED = FilteredTrajectory(TRAJECTORY, True, (), LABELS)
NATIVE = NativeTools(Toolbox([Echo("search"), Echo("diagnose")]), AgentConfig())
BROKEN = "<think>I hurry.</think>\n<tool_call>{name: search}</tool_call>"
# The marks that templates of current models write, with the parts that break on other shapes: they
# test for the key, count the calls, and write arguments as JSON.
TEMPLATE = (
    "{% if tools %}<tools>{% for tool in tools %}{{ tool | tojson }}{% endfor %}</tools>"
    "{{ '\n' }}{% endif %}{% for message in messages %}<|{{ message.role }}"
    "{% if message.role == 'tool' %} {{ message.name }} {{ message.tool_call_id }}{% endif %}|>"
    "{{ message.content }}{% if 'tool_calls' in message %}"
    "{% if message.tool_calls | length == 0 %}{{ raise_exception('no call') }}{% endif %}"
    "{% for call in message.tool_calls %}"
    '<tool_call>{"name": "{{ call.function.name }}", "arguments": '
    "{{ call.function.arguments | tojson }}}</tool_call>{% endfor %}"
    "{% endif %}{{ '\n' }}{% endfor %}"
)


def played(*lines: str, name: str = "traj-2") -> Trajectory:
    """A dialogue of the real loop with an Echo."""
    trajectory = run(*lines, text=QUESTION.task.text, max_tool_calls=9)
    return replace(trajectory, trajectory_id=name, question_id="q-1", mode="exploration")


PARALLEL = played(
    call("a", "b", thought="I look for two things."),
    BROKEN,
    '<think>With a year.</think>\n<tool_call>{"name": "search", "arguments": '
    '{"query": "c", "since": 2020, "kinds": ["x", null]}}</tool_call>',
    render_reply("It is c.", answer="GALC"),
)


PLAYED = FilteredTrajectory(PARALLEL, True, (), (TurnLabels(0, ("error",)),))


def rows_of(format_name: ExportFormat) -> list[dict[str, Any]]:
    """Both dialogues in a format; as pairs the second one is rejected."""
    if format_name == "chat":
        return [build_chat_row(entry, QUESTION) for entry in (ACCEPTED, PLAYED)]
    if format_name == "sharegpt":
        return [build_sharegpt_row(entry, QUESTION) for entry in (ACCEPTED, PLAYED)]
    if format_name == "tool_calls":
        return [build_tool_calls_row(entry, QUESTION, NATIVE) for entry in (ACCEPTED, PLAYED)]
    rejected = replace(PARALLEL, messages=(*MESSAGES[:2], *PARALLEL.messages[2:]))
    judged = [
        ACCEPTED,
        FilteredTrajectory(rejected, False, ("wrong answer: A in place of GALC",)),
    ]
    return [build_pair_row(pair, {"q-1": QUESTION}) for pair in find_pairs(judged)[0]]


def texts_in(value: Any) -> Iterator[str]:
    """Every text in a row, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, member in value.items():
            yield from (key, *texts_in(member))
    elif isinstance(value, list):
        for member in value:
            yield from texts_in(member)


# --- what is in a row -----------------------------------------------------------------


def test_chat_rows_have_the_dialogue_and_the_loss_covers_the_replies() -> None:
    row = json.loads(json.dumps(build_chat_row(ACCEPTED, QUESTION)))
    assert [(message["role"], message["content"]) for message in row["messages"]] == [
        (m.role, m.content) for m in MESSAGES
    ]
    covered = [
        (number, row["messages"][number]["content"][first:end])
        for number, first, end in row["loss_spans"]
    ]
    assert covered == [
        (number, m.content) for number, m in enumerate(MESSAGES) if m.role == "assistant"
    ]
    assert (row["trajectory_id"], row["question_id"], row["specialty"]) == (
        "traj-1",
        "q-1",
        "neurology",
    )
    assert row["reply_labels"] == [["found_needed_fact", "verification"], []]


def test_the_loss_leaves_out_a_malformed_reply() -> None:
    row = build_chat_row(PLAYED, QUESTION)
    covered = {row["messages"][number]["content"] for number, _, _ in row["loss_spans"]}
    replies = {m.content for m in PARALLEL.messages if m.role == "assistant"}
    assert replies - covered == {BROKEN}


def test_sharegpt_rows_have_a_speaker_for_every_message() -> None:
    row = json.loads(json.dumps(build_sharegpt_row(ACCEPTED, QUESTION)))
    assert row["system"] == "You are an agent."
    assert [turn["from"] for turn in row["conversations"]] == ["human", "gpt", "human", "gpt"]
    assert [turn["value"] for turn in row["conversations"]] == [m.content for m in MESSAGES[1:]]


def test_a_dialogue_without_a_system_message_loses_nothing() -> None:
    bare = replace(ACCEPTED, trajectory=replace(TRAJECTORY, messages=MESSAGES[1:]))
    row = build_sharegpt_row(bare, QUESTION)
    assert row["system"] == ""
    assert [turn["value"] for turn in row["conversations"]] == [m.content for m in MESSAGES[1:]]
    native = build_tool_calls_row(bare, QUESTION, NATIVE)
    assert [message["role"] for message in native["messages"]] == [
        "user",
        "assistant",
        "tool",
        "assistant",
    ]


def test_native_calls_are_objects_and_their_responses_name_them() -> None:
    row = build_tool_calls_row(PLAYED, QUESTION, NATIVE)
    system, question, reply, first, second, broken, complaint, *_, last = row["messages"]
    assert "<tool_call>" not in system["content"]
    assert "Tools:" not in system["content"], "they are in a column of their own"
    assert question == {"role": "user", "content": QUESTION.task.text}
    assert reply["content"] == "<think>I look for two things.</think>"
    calls = reply["tool_calls"]
    assert [each["function"]["arguments"] for each in calls] == [{"query": "a"}, {"query": "b"}]
    assert {each["type"] for each in calls} == {"function"}
    assert [(m["role"], m["name"], m["content"]) for m in (first, second)] == [
        ("tool", "search", "found a"),
        ("tool", "search", "found b"),
    ]
    ids = [each["id"] for each in calls]
    assert [first["tool_call_id"], second["tool_call_id"]] == ids
    assert all(len(name) == 9 and name.isalnum() for name in ids), "as Mistral's templates want"
    assert (broken["content"], "tool_calls" in broken) == (BROKEN, False)
    assert complaint["role"] == "user", "no template writes a call that cannot be read"
    assert last["content"] == "<think>It is c.</think>\n<answer>GALC</answer>"
    schemas = json.loads(row["tools"])
    assert [schema["function"]["name"] for schema in schemas] == ["search", "diagnose"]
    assert schemas[0]["function"]["parameters"]["type"] == "object"


def test_calls_beside_an_answer_were_not_run_and_are_left_out() -> None:
    last = f"{call('a', thought='sure')}<answer>GALC</answer>"
    rendered = render_native_dialogue((*MESSAGES[:2], Message("assistant", last)), "s")
    assert rendered[-1] == {
        "role": "assistant",
        "content": "<think>sure</think>\n<answer>GALC</answer>",
    }


def test_the_request_for_an_answer_follows_the_responses() -> None:
    trajectory = run(call("a", "b"), call("c"), call("d"), max_tool_calls=3)
    roles = [message["role"] for message in render_native_dialogue(trajectory.messages, "s")]
    assert roles.index("user", 2) > roles.index("tool")
    assert roles.count("tool") == 3


def test_a_tool_that_the_configuration_lacks_is_an_error() -> None:
    only_diagnose = NativeTools(Toolbox([Echo("diagnose")]), AgentConfig())
    with pytest.raises(DataError, match=r"played with search, which agent\.tools lacks"):
        build_tool_calls_row(PLAYED, QUESTION, only_diagnose)


# --- round trip -----------------------------------------------------------------------

_json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
_tool_calls = st.builds(
    ToolCall,
    st.sampled_from(["search", "medical_search"]),
    st.dictionaries(st.text(min_size=1, max_size=8), _json_values, max_size=3),
)
_thoughts = st.text(max_size=40).map(lambda text: text.replace("<", "‹").strip() or "so")
_call_replies = st.builds(render_reply, _thoughts, st.lists(_tool_calls, min_size=1, max_size=4))


@given(st.lists(_call_replies | st.just(BROKEN), max_size=5), _thoughts)
def test_native_calls_read_back_as_the_calls_of_the_text(
    replies: Sequence[str], last_thought: str
) -> None:
    messages = list(MESSAGES[:2])
    for number, text in enumerate(replies):
        responses = [f"{number} {place}" for place, _ in enumerate(parse_reply(text).attempts)]
        messages += [Message("assistant", text), Message("user", respond(responses))]
    messages.append(Message("assistant", render_reply(last_thought, answer="GALC")))
    assert_reads_back(messages)


def test_a_played_dialogue_reads_back_as_it_was() -> None:
    assert_reads_back(PARALLEL.messages)


def assert_reads_back(messages: Sequence[Message]) -> None:
    """The native form has the same attempts, thoughts, answers and responses."""
    rendered = render_native_dialogue(messages, "s")
    native = [message for message in rendered if message["role"] == "assistant"]
    text = [message.content for message in messages if message.role == "assistant"]
    for message, original in zip(native, text, strict=True):
        calls = [
            FunctionCall(
                each["id"], each["function"]["name"], json.dumps(each["function"]["arguments"])
            )
            for each in message.get("tool_calls", ())
        ]
        assert parse_reply(render_native_reply(message["content"], calls)) == parse_reply(original)
    responses = [
        response for message in messages[2:] for response in parse_responses(message.content)[0]
    ]
    native_responses: list[str] = []
    for message in rendered[2:]:
        if message["role"] == "tool":
            native_responses.append(message["content"])
        elif message["role"] == "user":
            native_responses += parse_responses(message["content"])[0]
    assert native_responses == responses


# --- what loads it --------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def load(rows: Sequence[dict[str, Any]], format_name: ExportFormat, file: Path) -> Any:
    """The rows as ``datasets`` gives them back from a file."""
    import datasets

    write_rows(rows, format_name, file)
    loader = "parquet" if file.suffix == ".parquet" else "json"
    return datasets.load_dataset(
        loader, data_files=str(file), split="train", cache_dir=str(file.parent / "cache")
    )


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
@pytest.mark.parametrize("format_name", EXPORT_FORMATS)
def test_datasets_gives_back_what_was_exported(
    format_name: ExportFormat, ending: str, tmp_path: Path
) -> None:
    rows = rows_of(format_name)
    assert rows
    assert list(load(rows, format_name, tmp_path / f"rows.{ending}")) == rows


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_the_rows_have_the_shapes_of_trl(ending: str, tmp_path: Path) -> None:
    """By its page on data set formats: ``messages`` of role and content, ``tool_calls`` with
    arguments as objects, and an explicit prompt before completions that begin and end with a
    reply."""
    chat = load(rows_of("chat"), "chat", tmp_path / f"chat.{ending}")
    for row in chat:
        roles = [message["role"] for message in row["messages"]]
        assert roles[:1] == ["system"]
        assert roles[1::2] == ["user"] * len(roles[1::2])
        assert roles[2::2] == ["assistant"] * len(roles[2::2])
        assert roles[-1] == "assistant"
        assert all(message.keys() == {"role", "content"} for message in row["messages"])
    native = load(rows_of("tool_calls"), "tool_calls", tmp_path / f"native.{ending}")
    assert native.features["tools"].dtype == "string"
    for row in native:
        for message in row["messages"]:
            assert message["role"] in {"system", "user", "assistant", "tool"}
            assert isinstance(message["content"], str)
            for each in message.get("tool_calls", ()):
                assert isinstance(each["function"]["arguments"], dict)
    (pair,) = load(rows_of("pairs"), "pairs", tmp_path / f"pairs.{ending}")
    assert [message["role"] for message in pair["prompt"]] == ["system", "user"]
    for completion in (pair["chosen"], pair["rejected"]):
        assert completion[0]["role"] == completion[-1]["role"] == "assistant"
    assert isinstance(pair["margin"], float)


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_llama_factory_takes_a_sharegpt_row(ending: str, tmp_path: Path) -> None:
    """By its converter: an odd turn is of "human" or "observation", an even one of "gpt" or
    "function_call", and the number of turns is even."""
    for row in load(rows_of("sharegpt"), "sharegpt", tmp_path / f"rows.{ending}"):
        speakers = [turn["from"] for turn in row["conversations"]]
        assert set(speakers[::2]) <= {"human", "observation"}
        assert set(speakers[1::2]) <= {"gpt", "function_call"}
        assert len(speakers) % 2 == 0
        assert isinstance(row["system"], str)


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_a_chat_template_writes_the_calls_and_no_nulls(ending: str, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from medr_ray.engines.weights import model_path

    tokenizer = AutoTokenizer.from_pretrained(model_path("embedded:smollm2-135m-instruct"))
    _, row = load(rows_of("tool_calls"), "tool_calls", tmp_path / f"rows.{ending}")
    text = tokenizer.apply_chat_template(
        row["messages"], tools=json.loads(row["tools"]), chat_template=TEMPLATE, tokenize=False
    )
    assert text.startswith('<tools>{"type": "function", "function": {"name": "search"')
    written = [parse_reply(line).calls for line in text.splitlines() if "<tool_call>" in line]
    replies = [m.content for m in PARALLEL.messages if m.role == "assistant"]
    original = [parse_reply(reply).calls for reply in replies if "<tool_call>" in reply]
    assert written == original
    assert "None" not in text
    assert "<|tool search call00200|>found a" in text


# --- guidance -------------------------------------------------------------------------


@pytest.mark.parametrize("format_name", EXPORT_FORMATS)
def test_no_field_has_guidance(format_name: ExportFormat) -> None:
    for row in rows_of(format_name):
        texts = list(texts_in(row))
        assert QUESTION.task.text in texts, "every text is looked at"
        assert [text for text in texts if SECRET in text or find_leak(text)] == []


# --- read back -------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
@pytest.mark.parametrize("format_name", ["chat", "sharegpt", "tool_calls"])
def test_sft_reads_an_export_back_as_the_dialogues_it_was_made_of(
    format_name: ExportFormat, ending: str, tmp_path: Path
) -> None:
    agent = NATIVE.agent
    task = QUESTION.task
    opening = EpisodePrompt(task, tuple(NATIVE.toolbox.tools), agent).opening_messages()
    played_entry = replace(
        PLAYED, trajectory=replace(PARALLEL, messages=(*opening, *PARALLEL.messages[2:]))
    )
    builders = {
        "chat": build_chat_row,
        "sharegpt": build_sharegpt_row,
        "tool_calls": lambda entry, question: build_tool_calls_row(entry, question, NATIVE),
    }
    rows = [builders[format_name](played_entry, QUESTION)]
    path = tmp_path / f"rows{ending}"
    write_rows(rows, format_name, path)
    config = PipelineConfig(agent=agent, sft=SFTConfig(data=str(path)))
    (read,) = read_file_dialogues(str(path), config)
    assert isinstance(read, NumberedDialogue)
    trajectory = played_entry.trajectory
    assert read.dialogue.messages == trajectory.messages
    # The question, the tools' responses, and the reply with the call that cannot be read.
    assert read.dialogue.without_loss == {0, 1, 3, 4, 5, 7}
    assert (read.dialogue.dialogue_id, read.dialogue.group) == ("traj-2", "q-1")


def test_sft_reads_the_chosen_side_of_pairs(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    write_rows(rows_of("pairs"), "pairs", path)
    (read,) = read_file_dialogues(str(path), PipelineConfig())
    assert isinstance(read, NumberedDialogue)
    assert read.dialogue.messages == MESSAGES
    assert (read.dialogue.dialogue_id, read.dialogue.without_loss) == ("traj-1", {0, 1, 3})
