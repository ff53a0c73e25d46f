"""What can be said about sources and encoders, and what is refused."""

from typing import Any

import pytest
from pydantic import ValidationError

from medr_ray.core.config import IndexConfig
from medr_ray.core.settings import load_config


def test_a_name_stands_for_a_source_without_files() -> None:
    assert [source.source for source in IndexConfig().sources] == ["pubmed", "hpo"]
    named = IndexConfig.model_validate(
        {"sources": ["hpo", {"source": "trials", "paths": ["studies.jsonl.gz"]}]}
    )
    assert [(source.source, source.paths) for source in named.sources] == [
        ("hpo", ()),
        ("trials", ("studies.jsonl.gz",)),
    ]


def test_sources_can_be_set_on_the_command_line() -> None:
    config = load_config(
        None, ['index.sources=["hpo", {"source": "livertox", "paths": ["pages.jsonl"]}]'], {}
    )
    assert [source.source for source in config.index.sources] == ["hpo", "livertox"]


@pytest.mark.parametrize(
    ("sources", "reason"),
    [
        (["trials"], "trials needs its files in paths"),
        ([{"source": "pubmed", "paths": ["x.xml"]}], "pubmed takes no paths"),
        (["hpo", "hpo"], "name each source once"),
        ([], "one at least"),
        (["wikipedia"], "wikipedia"),
    ],
)
def test_what_makes_no_sense_is_refused(sources: list[Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        IndexConfig.model_validate({"sources": sources})
