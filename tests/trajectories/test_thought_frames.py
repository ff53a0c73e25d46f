"""A frame is a thought without what it is about."""

import pytest

from medr_ray.trajectories.thought_frames import frame_text

CONTEXT = "Which gene causes Krabbe disease?\n[1] Krabbe disease (OMIM:245200): gene: GALC."


@pytest.mark.parametrize(
    ("text", "frame"),
    [
        ("I need the gene of Krabbe disease.", "i need the _ of _"),
        ("I need the gene of GALC!", "i need the _ of _"),
        ("Next: NDA021436 of 3 January 2000", "next _ of _"),
        ("So Merck made it.", "so _ made it"),
        ("", ""),
    ],
)
def test_names_numbers_and_words_of_the_dialogue_are_gaps(text: str, frame: str) -> None:
    assert frame_text(text, CONTEXT) == frame


def test_chinese_runs_that_the_dialogue_has_are_gaps() -> None:
    assert frame_text("我先查克拉伯病的致病基因。", "克拉伯病的致病基因是哪个？") == "我 先 查 _"
    assert frame_text("我先查法布里病。", "法布里病的基因？") == "我 先 查 _"
