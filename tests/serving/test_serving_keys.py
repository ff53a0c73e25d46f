"""The key opens the gate, nothing else does, and the gate does not contain the key."""

import pickle

import pytest

from medr_ray.serving.keys import KeyGate


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer wrong", "Basic s3cret-key", "s3cret-key"]
)
def test_wrong_or_missing_key_is_refused(header: str | None) -> None:
    assert not KeyGate.for_key("s3cret-key").admits(header)


def test_the_key_is_admitted_whatever_the_case_of_the_scheme() -> None:
    gate = KeyGate.from_environment("K", {"K": "s3cret-key"})
    assert gate.admits("Bearer s3cret-key")
    assert gate.admits("bearer s3cret-key")


@pytest.mark.parametrize("environment", [{}, {"K": ""}])
def test_without_a_key_in_the_environment_all_are_admitted(environment: dict[str, str]) -> None:
    assert KeyGate.from_environment("K", environment).admits(None)


def test_what_travels_to_the_replica_does_not_contain_the_key() -> None:
    gate = KeyGate.for_key("s3cret-key")
    assert b"s3cret-key" not in pickle.dumps(gate)
    assert "s3cret-key" not in repr(gate)
