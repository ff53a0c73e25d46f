"""The messages a user sees when the application cannot start."""

from pathlib import Path
from typing import Any

import pytest

from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import MedrError
from medr_ray.core.run import open_run
from medr_ray.core.settings import load_config
from medr_ray.serving.app import find_free_port, serve_application


@pytest.fixture
def config(tiny_model: Path, tmp_path: Path) -> PipelineConfig:
    return load_config(
        None,
        [
            f"run.root={tmp_path}",
            f"models.policy={tiny_model}",
            "serving.weights=base",
            f"serving.port={find_free_port()}",
        ],
    )


@pytest.mark.slow
def test_a_replica_that_cannot_start_says_why_and_leaves_nothing_running(
    ray_local: None, config: PipelineConfig
) -> None:
    from ray import serve

    run = open_run(config)
    # It claims an index that is not there.
    run.stage("index").write_json("manifest.json", {"fingerprint": "x"})
    with (
        pytest.raises(MedrError, match=r"(?s)search: .*no index here"),
        serve_application(config, run),
    ):
        pass
    assert not serve.status().proxies


@pytest.mark.slow
def test_where_serve_cannot_start_nothing_of_it_is_left_running(
    ray_local: None, config: PipelineConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray import serve

    start = serve.start

    def start_and_fail(**options: Any) -> None:
        start(**options)
        raise RuntimeError("the proxy died")

    monkeypatch.setattr(serve, "start", start_and_fail)
    with (
        pytest.raises(RuntimeError, match="the proxy died"),
        serve_application(config, open_run(config)),
    ):
        pass
    assert not serve.status().proxies
