"""Nothing of a stop sequence is ever shown, and nothing else is lost."""

from hypothesis import given
from hypothesis import strategies as st

from medr_ray.serving.stopping import StopFilter


def shown(text: str, pieces: list[int], stops: list[str]) -> tuple[str, bool]:
    one, out, start = StopFilter(stops), "", 0
    for size in [*pieces, len(text)]:
        out += one.feed(text[start:start + size])
        start += size
    return out + one.flush(), one.stopped


def test_a_stop_sequence_split_over_deltas_is_not_shown() -> None:
    one = StopFilter(["</answer>"])
    assert [one.feed(piece) for piece in ("Marfan</", "ans", "wer> tail", "more")] == ["Marfan", "", "", ""]
    assert one.stopped


def test_what_only_looked_like_a_stop_sequence_is_shown() -> None:
    one = StopFilter(["</answer>"])
    assert one.feed("p </a") == "p "
    assert one.feed("b> q") == "</ab> q"
    assert not one.stopped


@given(st.text("abc", max_size=30), st.lists(st.integers(1, 5), max_size=8),
       st.lists(st.text("abc", min_size=1, max_size=3), max_size=3))
def test_the_result_does_not_depend_on_how_the_text_is_cut(text: str, pieces: list[int], stops: list[str]) -> None:
    got, stopped = shown(text, pieces, stops)
    assert not any(stop in got for stop in stops)
    assert stopped == any(stop in text for stop in stops)
    assert text.startswith(got)
    assert stopped or got == text
