"""Work over Ray Data that belongs to a block: it ends with it."""

import time
from typing import Any

import pytest

from medr_ray.core.data import map_in_actors, map_in_tasks


def test_nothing_to_do_needs_no_ray() -> None:
    with map_in_tasks([], lambda row: row) as results:
        assert list(results) == []
    with map_in_actors([], object, 2) as results:
        assert list(results) == []


@pytest.mark.slow
def test_a_consumer_that_raises_ends_the_tasks(ray_local: None) -> None:
    def work(row: dict[str, Any]) -> dict[str, Any]:
        # Ray Data hands a row on when it has read further ones.
        if row["number"] >= 4:
            time.sleep(3600)
        return row

    failed_at: list[float] = []

    def take_first() -> None:
        with map_in_tasks([{"number": number} for number in range(8)], work) as results:
            next(results)
            failed_at.append(time.monotonic())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        take_first()
    # Ten seconds are meant; a busy machine gets thirty.
    assert time.monotonic() - failed_at[0] < 30
    # The CPUs of what was ended are free again.
    with map_in_tasks([{"number": 0}], work) as results:
        assert [row["number"] for row in results] == [0]
