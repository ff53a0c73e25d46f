"""Environment variables of ours: a mistyped one is an error, others are left alone."""

import pytest

from medr_ray.core.errors import ConfigError
from medr_ray.core.settings import load_config
from medr_ray.core.variables import read_key


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("MEDR_GRAPH_STEPS", "MEDR_GRAPH__STEPS"),
        ("MEDR_LLM_APIKEY", "MEDR_LLM_API_KEY"),
        ("MEDR_CACHE_DIR", "MEDR_CACHE"),
        ("MEDR_SERVING_PORT", "MEDR_SERVING__PORT"),
        ("MEDR_TOOLS_READ_SECONDS", "MEDR_TOOLS__READ__SECONDS"),
    ],
)
def test_an_unknown_variable_is_an_error_with_the_nearest_name(name: str, nearest: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(None, [], {name: "5"})
    assert f"unknown environment variable {name}: did you mean {nearest}?" in str(error.value)


def test_variables_that_something_reads_are_allowed() -> None:
    variables = {
        "MEDR_CACHE": "/var/cache",
        "MEDR_TRACEBACK": "1",
        "MEDR_VLLM_PYTHON": "/venv/bin/python",
        "MEDR_ENGINE_PROCESS": "1",
        "MEDR_BENCH_RUN": "runs/x",
        "MEDR_SHARED_DATA": "/data",
        "MEDR_LLM_API_KEY": "k",
        "MEDR_SERVE_API_KEY": "k",
        "MEDR_NCBI_API_KEY": "k",
        # Named by the configuration itself, also in lists and mappings.
        "MEDR_TEACHER_KEY": "k",
        "MEDR_TENANT": "t",
        "MEDR_JUDGE_KEY": "k",
        "MEDR_FILES_TOKEN": "k",
        "PATH": "/bin",
    }
    overrides = [
        "llm.api_key_env=MEDR_TEACHER_KEY",
        "llm.extra_headers={X-Tenant: MEDR_TENANT}",
        "questions.calibration=[{model: m, api_key_env: MEDR_JUDGE_KEY}]",
        "tools.mcp={files: {command: [serve], env_names: [MEDR_FILES_TOKEN]}}",
    ]
    load_config(None, overrides, variables)
    with pytest.raises(ConfigError, match="MEDR_TENANT"):
        load_config(None, [overrides[0], *overrides[2:]], variables)


def test_what_kubernetes_sets_for_a_service_is_allowed() -> None:
    links = {
        "MEDR_SERVE_SERVICE_HOST": "10.0.0.1",
        "MEDR_SERVE_SERVICE_PORT": "8000",
        "MEDR_SERVE_SERVICE_PORT_HTTP": "8000",
        "MEDR_SERVE_PORT": "tcp://10.0.0.1:8000",
        "MEDR_SERVE_PORT_8000_TCP": "tcp://10.0.0.1:8000",
        "MEDR_SERVE_PORT_8000_TCP_PROTO": "tcp",
        "MEDR_SERVE_PORT_8000_TCP_ADDR": "10.0.0.1",
        "MEDR__DOUBLE_SERVICE_HOST": "10.0.0.2",
    }
    load_config(None, [], links)


def test_a_key_loses_its_line_break_and_is_named_where_it_cannot_be_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MEDR_LLM_API_KEY", " key-4711\r\n")
    assert read_key("MEDR_LLM_API_KEY") == "key-4711"
    assert read_key("MEDR_NOT_SET") == ""
    for text in ("schlüssel-4711", "key\n4711", "“key-4711”"):
        monkeypatch.setenv("MEDR_LLM_API_KEY", text)
        with pytest.raises(ConfigError, match=r"\$MEDR_LLM_API_KEY is no key") as error:
            read_key("MEDR_LLM_API_KEY")
        assert "4711" not in str(error.value)
