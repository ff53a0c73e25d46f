"""A governor that no other test has spoken to."""

import pytest

from medr_ray.governor import actor
from medr_ray.governor.actor import LocalGovernorClient


@pytest.fixture(autouse=True)
def _own_governor(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Also where another test has Ray up."""
    monkeypatch.setattr(actor, "_local_client", LocalGovernorClient())
    if "ray_local" not in request.fixturenames:
        monkeypatch.setattr(actor, "_current_ray_session", lambda: None)
