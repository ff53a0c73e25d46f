"""The pickled dictionaries are data: nothing in them may run."""

import pickle
from pathlib import Path

import pytest

from medr_ray.core.errors import DataError
from medr_ray.knowledge.dictionaries import load_plain_pickle, read_disease_entries


class _Malicious:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.target,)


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    with pytest.raises(DataError, match="refused to unpickle"):
        load_plain_pickle(pickle.dumps({"a": _Malicious(marker)}), "evil.pkl")
    assert not marker.exists()


def test_plain_values_are_read() -> None:
    value = {"a": ["b", 1, 2.5, None, True, ("c",)]}
    assert load_plain_pickle(pickle.dumps(value), "plain.pkl") == value


def test_headings_that_share_a_wrong_descriptor_id_stay_apart() -> None:
    by_id = {entry.concept_id: entry for entry in read_disease_entries()}
    assert "seizure" in by_id["MESH:seizures"].variants
    assert "aids" in by_id["MESH:acquired immunodeficiency syndrome"].variants
