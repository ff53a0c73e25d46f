"""The whole stage with real workers: rollouts, verdicts, rewritten thoughts and the training
sample."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from support.misbehaving_endpoint import endpoint
from support.questions import with_task
from support.small_index import build_index
from support.taught import ENTITIES, SETTINGS, plan_of, question_with, real_documents, word_plan
from support.tiny_model import build_tiny_model

from medr_ray.agent.protocol import parse_reply, render_reply
from medr_ray.core.records import Message, Question, RegistryEntity
from medr_ray.core.run import StageContext, open_run
from medr_ray.core.settings import load_config
from medr_ray.graph.facts.artifacts import FACT_ENTITIES
from medr_ray.questions.artifacts import QUESTIONS
from medr_ray.training.sft_data import list_own_dialogues
from medr_ray.trajectories.artifacts import TRAJECTORIES
from medr_ray.trajectories.dataset import find_malformed_messages, read_copies
from medr_ray.trajectories.filtering import find_leak
from medr_ray.trajectories.rewriting import REWRITES_FOLDER
from medr_ray.trajectories.stage import execute

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_local")]

# The text, the answer, and the specialty.
TEXTS = (
    (word_plan(plan_of("disease_of_gene", named=["GENE:GALC"])), "Krabbe disease", "neurology"),
    (word_plan(plan_of("gene_of_disease", named=["OMIM:310600"])), "NDP", "neurology"),
    (
        word_plan(plan_of("sponsor_of_trial", named=["NCT:NCT01781637"])),
        "Boston Childrens' Hospital",
        "neurology",
    ),
    (
        word_plan(plan_of("onset_of_disease", named=["ORPHA:331190"])),
        "Childhood",
        "ophthalmology",
    ),
    ("Variants in which gene cause Nobody's disease?", "ABC1", "ophthalmology"),
    (
        word_plan(plan_of("investigator_of_trial", named=["NCT:NCT01781637"])),
        "somebody else",
        "ophthalmology",
    ),
)


def questions() -> list[Question]:
    return [
        with_task(
            replace(question_with(text, answer), specialty=specialty, split="train"),
            task_id=f"q-{number}",
        )
        for number, (text, answer, specialty) in enumerate(TEXTS)
    ]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_model(tmp_path_factory.mktemp("model"))


def test_stage_from_questions_to_training_examples(model: Path, tmp_path: Path) -> None:
    two_thoughts, one_thought = (
        json.dumps({"thoughts": ["I look it up.", "That is it."][:count]}) for count in (2, 1)
    )
    plan = {
        "GALC": [two_thoughts],
        "Norrie": [two_thoughts],
        "NCT01781637": [two_thoughts],
        "ficolin3": [one_thought],
    }
    with endpoint(plan) as up:
        config = load_config(
            None,
            [
                *SETTINGS,
                f"run.root={tmp_path}",
                f"models.policy={model}",
                "trajectories.guided_fraction=0",
                "trajectories.tool_failure_rate=0",
                "trajectories.max_tokens=4096",
                "trajectories.balance=1",
                (
                    f"trajectories.rewrite={{base_url: '{up.url}', model: m, "
                    f"requests_per_minute: 100000, concurrency: 1}}"
                ),
                "rollouts.workers=1",
                "rollouts.max_workers=1",
            ],
            environment={},
        )
        run = open_run(config)
        run.write(QUESTIONS, questions())
        entities = [
            RegistryEntity(entity_id, entity.entity_type, entity.names, (), "hpo")
            for entity_id, entity in ENTITIES.items()
        ]
        run.write(FACT_ENTITIES, entities)
        build_index(tmp_path / config.run.name / "index", list(real_documents()))
        context = StageContext(config, run, run.stage("trajectories"), Console(file=io.StringIO()))
        counts = dict(execute(context))
        first_requests = up.requests
        assert dict(execute(context)) == counts  # nothing is rolled out or rewritten again
        assert up.requests == first_requests == 4
    assert (counts["accepted"], counts["rejected"]) == (4, 2)
    assert counts["reasons"] == {"gave up": 1, "wrong answer": 1}
    assert counts["passed"]["specialty"] == {"neurology": (3, 3), "ophthalmology": (1, 3)}
    assert counts["rewritten"] == {
        "kept: another number of texts than of thoughts": 2,
        "rewritten": 6,
    }
    assert counts["statistics"]["calls"] == {"value": 1, "n": 4}
    by_kind = counts["statistics_by_kind"]
    assert by_kind["mode"]["exploration"]["calls"]["n"] == 4
    assert list(by_kind["style"]) == [config.trajectories.style]

    rejected = [
        json.loads(line) for line in context.directory.read_bytes("rejected.jsonl").splitlines()
    ]
    assert {(row["question_id"], row["reasons"][0]["code"]) for row in rejected} == {
        ("q-4", "gave up"),
        ("q-5", "wrong answer"),
    }
    assert all(
        row["trajectory_id"].startswith("traj-") and row["reasons"][0]["detail"] for row in rejected
    )

    judged = context.directory.read(TRAJECTORIES)
    kept = {
        result.trajectory.question_id: result.trajectory for result in judged if result.accepted
    }
    assert all(
        len(result.labels) == sum(m.role == "assistant" for m in result.trajectory.messages)
        for result in judged
    )
    assert [
        parse_reply(m.content).thought for m in kept["q-0"].messages if m.role == "assistant"
    ] == ["I look it up.", "That is it."]
    assert kept["q-0"].answer == "Krabbe disease"
    assert [
        find_leak(m.content)
        for result in judged
        for m in result.trajectory.messages
        if find_leak(m.content)
    ] == []
    assert context.directory.list_files(REWRITES_FOLDER) == ["part-00000.parquet"]

    copies = read_copies(context.directory)
    # Of two specialties, the one with a single dialogue is taken twice.
    assert copies[kept["q-3"].trajectory_id] == 2
    assert sum(copies.values()) == 4
    dialogues = [row.dialogue for row in list_own_dialogues(open_run(config), config.sft)]
    assert {dialogue.dialogue_id: dialogue.copies for dialogue in dialogues} == {
        dialogue_id: count for dialogue_id, count in copies.items() if count
    }


def test_malformed_replies_are_not_learnt() -> None:
    replies = (
        "<think>x</think><tool_call>{</tool_call>",
        "I wonder.",
        render_reply("x", answer="y"),
    )
    messages = [Message("user", "q"), *(Message("assistant", reply) for reply in replies)]
    assert find_malformed_messages(messages) == {1, 2}
