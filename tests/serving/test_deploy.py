"""The application a Serve configuration file names."""

from pathlib import Path

import pytest
import yaml

from medr_ray.core.errors import ConfigError
from medr_ray.serving.deploy import build


@pytest.fixture
def arguments(tmp_path: Path) -> dict[str, str]:
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    values = {
        "run": {"root": str(tmp_path)},
        "models": {"policy": str(model)},
        "serving": {"weights": "base"},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(values))
    return {"config": str(tmp_path / "config.yaml")}


@pytest.mark.parametrize("key", [None, "", " \n"])
def test_without_a_key_nothing_is_built(
    arguments: dict[str, str], monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    monkeypatch.delenv("MEDR_SERVE_API_KEY", raising=False)
    if key is not None:
        monkeypatch.setenv("MEDR_SERVE_API_KEY", key)
    with pytest.raises(ConfigError, match="MEDR_SERVE_API_KEY is not set"):
        build(arguments)


def test_arguments_without_a_configuration_are_named() -> None:
    with pytest.raises(ConfigError, match="write config: PATH"):
        build({})


def test_the_gateway_is_the_ingress(
    arguments: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDR_SERVE_API_KEY", "secret")
    assert build(arguments)._bound_deployment.name == "gateway"
