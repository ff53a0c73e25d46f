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
from medr_ray.serving.app import build_controller_options, build_http_options
from medr_ray.serving.names import MODEL_DEPLOYMENT, SERVE_ENVIRONMENT

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
        schema = ServeDeploySchema.model_validate(values)
        application = schema.applications[0]
        module, _, name = application.import_path.partition(":")
        assert callable(getattr(importlib.import_module(module), name))
        path = repository / application.args["config"].removeprefix("/app/")
        config = load_config(path, environment={})
        # What ``medr serve`` gives Serve, where the application itself has no say.
        options = build_http_options(config)
        assert schema.http_options.request_timeout_s == options["request_timeout_s"]
        assert schema.http_options.keep_alive_timeout_s == options["keep_alive_timeout_s"]
        assert [deployment.name for deployment in application.deployments] == [MODEL_DEPLOYMENT]


def test_serve_files_guard_connections_as_medr_serve_does(folder: Path) -> None:
    options = manifest(folder, "serve.yaml")["controller_options"]
    assert options == build_controller_options()
    for environment in service_environments(folder):
        assert environment.items() >= SERVE_ENVIRONMENT.items()
    module, _, name = SERVE_ENVIRONMENT["RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"].rpartition(".")
    assert callable(getattr(importlib.import_module(module), name))


def service_environments(folder: Path) -> list[dict[str, str]]:
    """The environment of each container of the service."""
    spec = cluster_spec(folder, "rayservice.yaml")
    containers = [
        container
        for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"])
        for container in group["template"]["spec"]["containers"]
    ]
    return [{entry["name"]: entry["value"] for entry in item["env"]} for item in containers]


def test_the_service_scales_and_reads_its_keys_from_a_secret(
    folder: Path, repository: Path
) -> None:
    spec = cluster_spec(folder, "rayservice.yaml")
    for environment in service_environments(folder):
        settings = {name: value for name, value in environment.items() if name.startswith("MEDR_")}
        serving = load_config(repository / "configs" / "cluster.yaml", environment=settings).serving
        assert serving.max_replicas is not None
        assert serving.max_replicas > serving.replicas
        assert spec["workerGroupSpecs"][0]["maxReplicas"] >= serving.max_replicas
        assert serving.keys_file is not None
        pod = spec["workerGroupSpecs"][0]["template"]["spec"]
        mounts = {mount["mountPath"]: mount for mount in pod["containers"][0]["volumeMounts"]}
        mount = mounts[str(Path(serving.keys_file).parent)]
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert mount["readOnly"]
        assert "secret" in volumes[mount["name"]]


def test_workers_are_probed_where_the_service_answers(folder: Path) -> None:
    spec = cluster_spec(folder, "rayservice.yaml")
    # The operator deploys the application once the head is ready, so the head cannot wait for it.
    assert "readinessProbe" not in spec["headGroupSpec"]["template"]["spec"]["containers"][0]
    for group in spec["workerGroupSpecs"]:
        container = group["template"]["spec"]["containers"][0]
        for probe, path in (("readinessProbe", "/readyz"), ("livenessProbe", "/livez")):
            (*_, command) = container[probe]["exec"]["command"]
            assert f"http://localhost:8000{path}" in command
            # KubeRay's own check is replaced by a probe of ours, not added to it.
            assert "/api/local_raylet_healthz" in command


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
