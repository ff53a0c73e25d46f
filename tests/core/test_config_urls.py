"""No address of the configuration holds a secret, and no error repeats one."""

import pytest
from pydantic import ValidationError

from medr_ray.core.config import EndpointConfig
from medr_ray.core.errors import ConfigError
from medr_ray.core.settings import list_settings, load_config

SERVICES = [
    "llm.base_url",
    "tools.web.base_url",
    "tools.live.pubmed.base_url",
    "tools.live.trials.base_url",
    "tools.live.openfda.base_url",
    "tools.mcp.files.url",
]


def refuse(override: str) -> str:
    with pytest.raises(ConfigError) as error:
        load_config(None, [override], {})
    return str(error.value)


@pytest.mark.parametrize("key", SERVICES)
@pytest.mark.parametrize(
    "url",
    [
        "https://hidden@example.org/v1",
        "https://user:hidden@example.org/v1",
        "https://user:hid%2Fden@[::1]:8443",
        "https://example.org/v1?api_key=hidden",
        "https://example.org/v1#hidden",
        "https://example.org:hidden/v1",
        "https://[hidden/v1",
        "https:user:hidden@example.org",
        "https://exa mple.org/hidden",
        "ftp://example.org/hidden",
        "hidden.example.org",
    ],
)
def test_an_address_of_a_service_holds_no_secret(key: str, url: str) -> None:
    message = refuse(f"{key}='{url}'")
    assert message.startswith(f"--set {key}: ")
    assert "hidden" not in message.removeprefix(f"--set {key}")


def test_the_list_above_has_every_service() -> None:
    keys = {setting.key for setting in list_settings(load_config(None, [], {}))}
    assert {key for key in keys if key.endswith("url")} == set(SERVICES) - {"tools.mcp.files.url"}


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:8000/v1", "https://example.org", "http://[::1]:8000/v1/", "http://llm/v1"],
)
def test_plain_addresses_are_accepted(url: str) -> None:
    assert load_config(None, [f"llm.base_url='{url}'"], {}).llm.base_url == url


@pytest.mark.parametrize(
    "override",
    [
        "run.root=s3://AKIA:hidden@bucket/runs",
        "run.root='s3://bucket/runs?secret_key=hidden'",
        "corpus.sources=['https://x.org/f.xml.gz?X-Amz-Signature=hidden']",
        "questions.benchmarks=['s3://hidden@bucket/f']",
        "tools.cassette.path='s3://k:hidden@bucket'",
        "tools.diagnosis.mondo='s3://k:hidden@bucket'",
        "ray.address=ray://me:hidden@head:10001",
    ],
)
def test_an_address_of_storage_or_of_a_cluster_holds_no_secret(override: str) -> None:
    key, _, _ = override.partition("=")
    message = refuse(override)
    assert message.startswith(f"--set {key}: ")
    assert "hidden" not in message


def test_paths_globs_and_options_of_storage_are_accepted() -> None:
    sources = ["a@b/f.xml", "s3://bucket/pubmed26n000?.xml.gz", "s3://bucket/x?region=eu-west-1"]
    config = load_config(None, [f"corpus.sources={sources}", "ray.address=auto"], {})
    assert list(config.corpus.sources) == sources


def test_an_error_of_a_section_made_in_code_shows_no_value_either() -> None:
    with pytest.raises(ValidationError) as error:
        EndpointConfig(base_url="http://me:hidden@127.0.0.1/v1", model="tiny")
    assert "hidden" not in str(error.value)
