"""What a process knows by itself, before the governor has said anything."""

from medr_ray.governor.client_state import ClientState, ClockReading, Waiter
from medr_ray.governor.limits import Amounts, Limits
from medr_ray.governor.protocol import Grant, Notice, Outcome


def _exact_reading(now: float) -> ClockReading:
    return ClockReading(now, now, now)


def test_a_process_rests_as_soon_as_it_was_refused() -> None:
    """Its next request does not slip out while the pause is on its way to the governor
    and back."""
    state: ClientState[str] = ClientState(Limits(None, concurrency=2))
    state.apply_grant("epoch", Grant(1, 2, (), Notice()), 0, 0.0)
    slot = state.take_slot(Amounts(), _exact_reading(0.0))
    assert slot is not None
    state.finish_request(Outcome(slot, Amounts(), "refused", retry_after=60.0), 1.0)
    state.waiting.append(Waiter("next", Amounts()))
    assert state.serve_waiters(_exact_reading(60.9)) == []
    assert state.next_event_time(_exact_reading(2.0)) <= 61.0
    assert [caller for caller, _ in state.serve_waiters(_exact_reading(61.0))] == ["next"]
