"""The key is accepted, nothing else is, and the verifier does not contain the key."""

import pickle
from pathlib import Path

import pytest

from medr_ray.core.errors import ConfigError
from medr_ray.core.run import open_run
from medr_ray.core.settings import load_config
from medr_ray.serving.app import serve_application
from medr_ray.serving.keys import ApiKeyVerifier, is_loopback
from medr_ray.serving.service import serve_forever, start_service


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer wrong", "Basic s3cret-key", "s3cret-key"]
)
def test_wrong_or_missing_key_is_refused(header: str | None) -> None:
    assert not ApiKeyVerifier.for_key("s3cret-key").accepts(header)


def test_the_key_is_accepted_whatever_the_case_of_the_scheme() -> None:
    verifier = ApiKeyVerifier.from_environment("K", {"K": "s3cret-key"})
    assert verifier.accepts("Bearer s3cret-key")
    assert verifier.accepts("bearer s3cret-key")


@pytest.mark.parametrize("environment", [{}, {"K": ""}, {"K": "  \n"}])
def test_without_a_key_in_the_environment_all_are_accepted(environment: dict[str, str]) -> None:
    assert ApiKeyVerifier.from_environment("K", environment).accepts(None)


def test_what_travels_to_the_replica_does_not_contain_the_key() -> None:
    verifier = ApiKeyVerifier.for_key("s3cret-key")
    assert b"s3cret-key" not in pickle.dumps(verifier)
    assert "s3cret-key" not in repr(verifier)


def test_a_line_break_is_no_part_of_a_key_and_a_key_is_ascii() -> None:
    verifier = ApiKeyVerifier.from_environment("K", {"K": "s3cret-key\n"})
    assert verifier.accepts("Bearer s3cret-key")
    with pytest.raises(ConfigError, match=r"\$K is no key") as error:
        ApiKeyVerifier.from_environment("K", {"K": "schlüssel-4711"})
    assert "4711" not in str(error.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "::1"])
def test_loopback_is_this_machine(host: str) -> None:
    assert is_loopback(host)


OPEN_HOSTS = ["0.0.0.0", "::", "", "192.0.2.1", "no-such-host.invalid"]  # noqa: S104


@pytest.mark.parametrize("key", [None, "", "   "])
@pytest.mark.parametrize("host", OPEN_HOSTS)
def test_nothing_is_served_beyond_loopback_without_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, key: str | None
) -> None:
    monkeypatch.delenv("MEDR_SERVE_API_KEY", raising=False)
    if key is not None:
        monkeypatch.setenv("MEDR_SERVE_API_KEY", key)
    config = load_config(None, [f"serving.host='{host}'", f"run.root={tmp_path}"])
    with pytest.raises(ConfigError, match="MEDR_SERVE_API_KEY holds no key"):
        serve_forever(config)
    with pytest.raises(ConfigError, match="MEDR_SERVE_API_KEY holds no key"):
        start_service(config, [])
    with (
        pytest.raises(ConfigError, match="MEDR_SERVE_API_KEY holds no key"),
        serve_application(config, open_run(config), api_key=key),
    ):
        pass
