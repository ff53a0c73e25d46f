"""The key is accepted, nothing else is, and the verifier does not contain the key."""

import pickle

import pytest

from medr_ray.serving.keys import ApiKeyVerifier


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer wrong", "Basic s3cret-key", "s3cret-key"]
)
def test_wrong_or_missing_key_is_refused(header: str | None) -> None:
    assert not ApiKeyVerifier.for_key("s3cret-key").accepts(header)


def test_the_key_is_accepted_whatever_the_case_of_the_scheme() -> None:
    verifier = ApiKeyVerifier.from_environment("K", {"K": "s3cret-key"})
    assert verifier.accepts("Bearer s3cret-key")
    assert verifier.accepts("bearer s3cret-key")


@pytest.mark.parametrize("environment", [{}, {"K": ""}])
def test_without_a_key_in_the_environment_all_are_accepted(environment: dict[str, str]) -> None:
    assert ApiKeyVerifier.from_environment("K", environment).accepts(None)


def test_what_travels_to_the_replica_does_not_contain_the_key() -> None:
    verifier = ApiKeyVerifier.for_key("s3cret-key")
    assert b"s3cret-key" not in pickle.dumps(verifier)
    assert "s3cret-key" not in repr(verifier)
