"""How often streams send."""

from medr_ray.serving.stream_pace import compute_message_gap


def test_a_stream_alone_flows_and_many_share_what_messages_cost() -> None:
    gaps = [compute_message_gap(streams) for streams in range(1, 200)]
    assert gaps[0] <= 0.02
    assert gaps == sorted(gaps)
    assert gaps[-1] <= 0.1
    # At most 125 messages a second from all streams of a replica, until each sends ten.
    for streams, gap in enumerate(gaps, start=1):
        assert streams / gap <= max(125.0, 10.0 * streams) * 1.001
