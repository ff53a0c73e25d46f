"""Fixtures every room shares: the real data beside the repository, and one private Ray instance."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# For tests only: nothing here listens beyond loopback.
os.environ.setdefault("RAY_AUTH_MODE", "disabled")
# More threads than cores make the small models of the tests slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# No time limit for one example: on a busy machine 200 ms (the default) say nothing about our code.
settings.register_profile("medr", deadline=None)
settings.load_profile("medr")
REPOSITORY = Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the soak tests out unless ``-m`` names them."""
    if "soak" in config.option.markexpr:
        return
    campaigns = [item for item in items if item.get_closest_marker("soak")]
    config.hook.pytest_deselected(items=campaigns)
    items[:] = [item for item in items if not item.get_closest_marker("soak")]


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real files that is never copied into the repository."""
    path = Path(
        os.environ.get("MEDR_SHARED_DATA") or REPOSITORY.parent / "shared" / "data"
    ).resolve()
    if not path.is_dir():
        pytest.skip(f"no real data at {path}; MEDR_SHARED_DATA names another place")
    return path


@pytest.fixture(scope="session")
def ray_local() -> Iterator[None]:
    """One private Ray instance for every test of the session that asks for it."""
    import ray

    if ray.is_initialized():
        yield
        return
    ray.init("local", num_cpus=4, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()
