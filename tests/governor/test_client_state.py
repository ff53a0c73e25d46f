"""What a process knows by itself, before the governor has said anything."""

from medr_ray.governor.client_state import Holding, Times, Waiter
from medr_ray.governor.limits import Amounts, Limits
from medr_ray.governor.protocol import Grant, News, Outcome


def _times(now: float) -> Times:
    return Times(now, now, now)


def test_a_process_rests_as_soon_as_it_was_told_to() -> None:
    """Its next request does not slip out while the news of the pause is on its way to the governor
    and back."""
    holding: Holding[str] = Holding(Limits(None, concurrency=2))
    holding.hear("epoch", Grant(1, 2, (), News()), 0, 0.0)
    slot = holding.take(Amounts(), _times(0.0))
    assert slot is not None
    holding.finish(Outcome(slot, Amounts(), "refused", retry_after=60.0), 1.0)
    holding.waiting.append(Waiter("next", Amounts()))
    assert holding.served(_times(60.9)) == []
    assert holding.next_event(_times(2.0)) <= 61.0
    assert [who for who, _ in holding.served(_times(61.0))] == ["next"]
