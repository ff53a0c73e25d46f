"""The messages a user sees when the application cannot start."""

from pathlib import Path

import pytest

from medr_ray.core.errors import MedrError
from medr_ray.core.run import open_run
from medr_ray.core.settings import load_config
from medr_ray.serving.app import find_free_port, serve_application


@pytest.mark.slow
def test_a_replica_that_cannot_start_says_why_and_leaves_nothing_running(
    ray_local: None,
    tiny_model: Path,
    tmp_path: Path,
) -> None:
    from ray import serve

    config = load_config(
        None,
        [
            f"run.root={tmp_path}",
            f"models.policy={tiny_model}",
            "serving.weights=base",
            f"serving.port={find_free_port()}",
        ],
    )
    run = open_run(config)
    # It claims an index that is not there.
    run.stage("index").write_json("manifest.json", {"fingerprint": "x"})
    with (
        pytest.raises(MedrError, match=r"(?s)search: .*no index here"),
        serve_application(config, run),
    ):
        pass
    assert not serve.status().proxies
