"""Cluster files against the schemas that read them, and against the names in this repository they
mention."""

import importlib
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from medr_ray.core.settings import load_config

RAY_VERSION = re.search(
    r"^ray==(\S+)$", (Path(__file__).parents[2] / "constraints.txt").read_text(), re.MULTILINE
)


@pytest.fixture
def folder(repository: Path) -> Path:
    return repository / "cluster"


def manifest(folder: Path, name: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((folder / name).read_text(encoding="utf-8"))
    return values


def cluster_spec(folder: Path, name: str) -> dict[str, Any]:
    spec: dict[str, Any] = manifest(folder, name)["spec"]
    return spec.get("rayClusterConfig", spec)


def test_the_launcher_file_fits_rays_schema(folder: Path) -> None:
    import ray

    schema = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text())
    jsonschema.validate(manifest(folder, "launcher.yaml"), schema)


def test_the_serve_file_fits_rays_schema_and_its_application_exists(
    folder: Path, repository: Path
) -> None:
    from ray.serve.schema import ServeDeploySchema

    service = yaml.safe_load(manifest(folder, "rayservice.yaml")["spec"]["serveConfigV2"])
    for values in (manifest(folder, "serve.yaml"), service):
        application = ServeDeploySchema.model_validate(values).applications[0]
        module, _, name = application.import_path.partition(":")
        assert callable(getattr(importlib.import_module(module), name))
        load_config(repository / application.args["config"].removeprefix("/app/"), environment={})


@pytest.mark.parametrize("name", ["raycluster.yaml", "rayservice.yaml"])
def test_clusters_want_a_token_and_run_the_pinned_ray(folder: Path, name: str) -> None:
    spec = cluster_spec(folder, name)
    assert RAY_VERSION is not None
    assert spec["authOptions"] == {"mode": "token"}
    assert spec["rayVersion"] == RAY_VERSION.group(1)
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        mounts = {
            mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]
        }
        assert mounts <= {volume["name"] for volume in pod["volumes"]}


@pytest.mark.parametrize("name", ["raycluster.yaml", "rayservice.yaml"])
def test_pods_run_without_root_and_privileges_and_write_to_volumes_only(
    folder: Path, name: str
) -> None:
    spec = cluster_spec(folder, name)
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        context = pod["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] > 0
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            writable = {mount["mountPath"] for mount in container["volumeMounts"]}
            # Ray's sessions, the user's folder, the compiled code beside the image's weights.
            assert writable >= {"/tmp", "/home/ray", "/opt/medr-cache/compiled"}  # noqa: S108


def test_the_job_is_one_that_the_operator_accepts(folder: Path) -> None:
    job = manifest(folder, "rayjob.yaml")["spec"]
    # ValidateRayJobSpec of KubeRay 1.6: no retries of its own on a cluster that it did not make.
    assert "clusterSelector" in job
    assert "backoffLimit" not in job


def test_the_image_makes_room_for_its_user_and_names_it_by_number(folder: Path) -> None:
    text = (folder / "Dockerfile").read_text(encoding="utf-8")
    assert text.index("userdel") < text.index("useradd")
    assert re.search(r"^USER 1000$", text, re.MULTILINE)


def test_the_job_names_the_cluster_and_files_of_the_image(folder: Path, repository: Path) -> None:
    job = manifest(folder, "rayjob.yaml")["spec"]
    assert (
        job["clusterSelector"]["ray.io/cluster"]
        == manifest(folder, "raycluster.yaml")["metadata"]["name"]
    )
    paths = [word for word in job["entrypoint"].split() if word.startswith("/app/")]
    assert paths
    assert all((repository / path.removeprefix("/app/")).is_file() for path in paths)


def test_the_image_copies_what_exists_and_asks_for_known_extras(
    folder: Path, repository: Path
) -> None:
    import tomllib

    text = (folder / "Dockerfile").read_text(encoding="utf-8")
    copied = [
        word
        for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE)
        for word in line.split()[:-1]
    ]
    assert copied
    assert all((repository / name).exists() for name in copied)
    extras = set(
        tomllib.loads((repository / "pyproject.toml").read_text())["project"][
            "optional-dependencies"
        ]
    )
    assert {
        extra for line in re.findall(r"EXTRAS=(\S+)", text) for extra in line.split(",")
    } <= extras


def test_the_board_asks_for_metrics_and_draws_every_panel(folder: Path) -> None:
    board = json.loads((folder / "grafana.json").read_text(encoding="utf-8"))
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    assert all("ray_" in target["expr"] for panel in board["panels"] for target in panel["targets"])
