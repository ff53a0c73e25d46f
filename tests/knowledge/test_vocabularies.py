"""Sources of the lexicon: every format refuses what is none of its own, and the configuration what
nothing reads."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from medr_ray.core.config import LexiconSource
from medr_ray.core.errors import DataError
from medr_ray.core.settings import load_config
from medr_ray.knowledge.vocabularies import READERS, read_source


@pytest.mark.parametrize("form", sorted(READERS))
@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 no vocabulary", b"<html><body>Not found</body></html>"]
)
def test_a_file_of_another_format_is_refused_by_name(
    tmp_path: Path, form: str, content: bytes
) -> None:
    path = tmp_path / "vocabulary"
    path.write_bytes(content)
    settings = {
        "format": form,
        "path": str(path),
        **({"entity_type": "disease"} if form == "csv" else {}),
    }
    with pytest.raises(DataError, match=rf"{path}: expected .*found"):
        read_source(LexiconSource.model_validate(settings))


def test_entries_of_other_types_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("id,name,synonyms,type\nLAB:1,a thing,,disease\nLAB:2,a remedy,,drug\n")
    entries, report = read_source(LexiconSource(format="csv", path=str(path), types=("drug",)))
    assert [entry.concept_id for entry in entries] == ["LAB:2"]
    assert report.omitted == {"a disease, not among the types wanted": 1}
    with pytest.raises(DataError, match=r"no usable entry .*1 left out"):
        read_source(LexiconSource(format="csv", path=str(path), types=("gene",)))


def test_a_type_is_set_only_where_it_is_read() -> None:
    with pytest.raises(ValidationError, match="entity_type is for format csv"):
        LexiconSource(format="mondo", path="mondo.json", entity_type="disease")


def test_sources_are_configured_in_order(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        "entities:\n  lexicons:\n    - {format: mesh, path: desc.xml.gz}\n"
        "    - {format: csv, path: own.csv, entity_type: drug}\n"
    )
    assert load_config(path).entities.lexicons == (
        LexiconSource(format="mesh", path="desc.xml.gz"),
        LexiconSource(format="csv", path="own.csv", entity_type="drug"),
    )
