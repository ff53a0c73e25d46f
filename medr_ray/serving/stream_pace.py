"""How often a stream sends what has come: a pure decision.

A message costs about a millisecond of processor time on its way from the replica through the
gateway and Serve's proxy to the client, and one with ten tokens costs no more than one with one.
"""

# Seconds between two messages of a stream. Nobody sees fifty messages a second from more, and ten
# a second still read as a flow.
_SHORTEST_GAP = 0.02
_LONGEST_GAP = 0.1
# For each stream that a replica sends: with it, messages take at most an eighth of a processor
# until the longest gap is reached, at 13 streams.
_GAP_OF_A_STREAM = 0.008


def compute_message_gap(streams: int) -> float:
    """The least seconds between two messages of a stream, while so many streams run."""
    return min(_LONGEST_GAP, max(_SHORTEST_GAP, _GAP_OF_A_STREAM * streams))
