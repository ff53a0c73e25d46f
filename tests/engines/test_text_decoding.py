"""Text that is read token by token is the text of the whole."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from medr_ray.engines.text_decoding import IncrementalText


def decode_bytes(ids: Sequence[int]) -> str:
    """A token is a byte; 256 is a token without a text."""
    return bytes(number for number in ids if number < 256).decode("utf-8", "replace")


@given(st.text(max_size=40), st.lists(st.integers(0, 256), max_size=20))
def test_each_step_reads_what_decoding_the_whole_would(text: str, others: list[int]) -> None:
    ids = [*text.encode("utf-8"), *others]
    incremental = IncrementalText(decode_bytes)
    for end in range(1, len(ids) + 1):
        whole = decode_bytes(ids[:end])
        assert incremental.read(ids[:end]) == whole
        assert incremental.read_final(ids[:end]) == whole.rstrip("\ufffd")


def test_a_long_text_is_not_decoded_again_for_each_token() -> None:
    decoded = 0

    def decode(ids: Sequence[int]) -> str:
        nonlocal decoded
        decoded += len(ids)
        return decode_bytes(ids)

    incremental = IncrementalText(decode)
    ids = list(b"word " * 400)
    for end in range(1, len(ids) + 1):
        incremental.read(ids[:end])
    assert decoded < 6 * len(ids)
