"""A report opened in headless Chromium, by a reader who clicks."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest
from support.browser import Page, needs_browser, open_browser
from support.reported_answers import (
    HOSTILE,
    make_answer,
    make_hostile_answer,
    make_large_answers,
    make_trajectory,
    make_words,
)

from medr_ray.core.records import MetadataItem, Task
from medr_ray.core.run import Directory
from medr_ray.evaluation.report.answers import ReportedAnswer
from medr_ray.evaluation.report.blocks import Block
from medr_ray.evaluation.report.curves import Curve
from medr_ray.evaluation.report.page import PageContent, files
from medr_ray.evaluation.report.page.content import Headline
from medr_ray.evaluation.report.page.trajectories import pack_trajectory
from medr_ray.evaluation.scorers.base import Score

pytestmark = [pytest.mark.slow, needs_browser]

# What a page of 1,000 trajectories of 100 kB may take on a quiet machine is 3 s.
_OPENING_SECONDS = 3.0
_SLACK = 3
_VIEWS = ("#overview", "#answers", "#answer/0", "#compare/0/0/1")
_ROWS = "document.querySelectorAll('table.answers tbody tr')"


def build_content() -> PageContent:
    """Six answers of each of two models to questions of one to three hops, and a table."""
    first = list(make_large_answers(6, 2_000))
    second = [make_other_answer(answer, number) for number, answer in enumerate(first)]
    share = {"value": 0.5, "low": 0.2, "high": 0.8, "n": 6, "unscored": 0}
    models = ({"name": "model", **share}, {"name": "other", **share})
    rows = tuple((f"stage {number}", f"{1_000 * number:,}") for number in range(1, 10))
    return PageContent(
        title="Two models",
        headlines=(Headline("Benchmark", 0.95, models, ("One sentence.",)),),
        curves=(Curve("SFT loss", "step", ((1, 3.0), (2, 1.0)), ((1, 2.0, 4.0), (2, 0.5, 1.5))),),
        tables=(Block("Stages", ("stage", "seconds"), rows, ("A note.",)),),
        answers=(*first, *second),
        notes=("Run here.",),
    )


def make_other_answer(answer: ReportedAnswer, number: int) -> ReportedAnswer:
    trajectory = make_trajectory(number + 50, 2_000, make_words())
    return make_answer(answer.task, trajectory, "correct", model="other")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with open_browser(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("report")
    content = build_content()
    files.write_page(Directory(str(folder)), "report", content)
    return f"{folder.as_uri()}/report.html"


@pytest.fixture
def page(browser: Page, address: str) -> Page:
    browser.set_size(1280, 900)
    browser.prefer_colours("light")
    browser.call("Page.navigate", url="about:blank")
    browser.requests.clear()
    browser.errors.clear()
    browser.open(address)
    return browser


def test_the_page_asks_for_nothing_but_itself(page: Page, address: str) -> None:
    for view in _VIEWS:
        page.evaluate(f"location.hash = '{view}'")
        page.wait_for("document.querySelector('main h2') !== null")
    assert page.requests == [address]
    assert page.errors == []


def test_answers_are_filtered_by_selects_and_by_words(page: Page) -> None:
    page.click("nav a[href='#answers']")
    page.wait_for(f"{_ROWS}.length === 12")
    selects = {
        label: f".filters label:nth-of-type({place}) select"
        for place, label in enumerate(list_filter_labels(page), 1)
    }
    page.choose(selects["Model"], "model")
    page.choose(selects["Verdict"], "correct")
    assert page.evaluate(f"{_ROWS}.length") == 2
    assert "2 of 2 scored are correct (100.0 %)" in page.evaluate(
        "document.querySelector('.count').textContent"
    )
    page.click(".filters button")
    assert page.evaluate(f"{_ROWS}.length") == 12
    page.choose(selects["Hops"], "3")
    assert page.evaluate(f"{_ROWS}.length") == 4
    page.click(".filters button")
    page.click(".filters input[type=search]")
    page.call("Input.insertText", text="thing 4")
    assert page.evaluate(f"{_ROWS}.length") == 2


def list_filter_labels(page: Page) -> list[str]:
    return list(
        page.evaluate(
            "Array.from(document.querySelectorAll('.filters label > span')).map(e => e.textContent)"
        )
    )


def test_a_click_on_a_heading_sorts_by_it_and_another_turns_the_order(page: Page) -> None:
    page.click("nav a[href='#overview']")
    read_column = (
        "Array.from(document.querySelectorAll('.block tbody td.number')).map(e => e.textContent)"
    )
    page.click(".block thead th:nth-child(2) button")
    rising = page.evaluate(read_column)
    assert rising == [f"{1_000 * number:,}" for number in range(1, 10)]
    page.click(".block thead th:nth-child(2) button")
    assert page.evaluate(read_column) == rising[::-1]
    sorted_by = page.evaluate("document.querySelector('.block th:nth-child(2)').ariaSort")
    assert sorted_by == "descending"
    page.click(".block input")
    page.call("Input.insertText", text="stage 7")
    assert page.evaluate(read_column) == ["7,000"]


def test_a_trajectory_opens_with_its_steps_verdicts_and_links(page: Page) -> None:
    page.click("nav a[href='#answers']")
    page.click("table.answers tbody tr:nth-child(2) a")
    page.wait_for("document.querySelectorAll('.episode-call').length === 10")
    assert page.evaluate("document.querySelectorAll('.episode-thought').length") == 11
    assert page.evaluate("document.querySelectorAll('.scores li').length") == 2
    verdicts = page.evaluate("document.querySelector('.scores').textContent")
    assert "rules ✗ incorrect" in verdicts
    assert "graded ? unscored by judge-7" in verdicts
    link = "document.querySelector('.episode-documents a')"
    assert page.evaluate(f"{link}.href") == "https://pubmed.ncbi.nlm.nih.gov/10/"
    assert page.evaluate(f"{link}.rel") == "noopener noreferrer"
    assert page.evaluate("document.querySelector('.episode-call details').open") is False
    page.click(".episode-call summary")
    assert page.evaluate("document.querySelector('.episode-call details').open") is True
    page.click(".answer > button")
    assert (
        page.evaluate("document.querySelectorAll('details:not(.aliases):not([open])').length") == 0
    )
    page.click(".steps a")
    page.wait_for(f"{_ROWS}.length === 12")


def test_two_models_stand_side_by_side_and_stay_when_the_question_changes(page: Page) -> None:
    page.evaluate("location.hash = '#compare/0/0/6'")
    page.wait_for("document.querySelectorAll('.columns .episode-result').length === 2")
    names = "Array.from(document.querySelectorAll('.columns h3')).map(e => e.textContent)"
    assert page.evaluate(names) == ["model", "other"]
    left, right = page.evaluate(
        "Array.from(document.querySelectorAll('.answer')).map(e => e.getBoundingClientRect().y)"
    )
    assert left == right
    page.choose(".filters label:nth-of-type(1) select", "3")
    page.wait_for("location.hash === '#compare/3/3/9'")
    assert page.evaluate(names) == ["model", "other"]
    page.choose(".filters label:nth-of-type(3) select", "3")
    page.wait_for("document.querySelectorAll('.columns .episode-result').length === 2")


def test_the_theme_follows_the_system_until_the_reader_chooses(page: Page) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.prefer_colours("dark")
    dark = page.evaluate(ground)
    assert light != dark
    page.choose("#theme", "light")
    assert page.evaluate(ground) == light
    page.choose("#theme", "")
    assert page.evaluate(ground) == dark


def test_the_page_is_read_by_keyboard(page: Page) -> None:
    page.press("Tab", 9)
    assert page.evaluate("document.activeElement.textContent") == "To the content"
    for _ in range(2):
        page.press("Tab", 9)
    assert page.evaluate("document.activeElement.textContent") == "Answers"
    page.press("Enter", 13)
    page.wait_for("document.activeElement.id === 'content'")
    page.wait_for(f"{_ROWS}.length === 12")


def show_whole_view(page: Page, view: str) -> None:
    """Go to a view, and open all that is closed in it."""
    page.evaluate(f"location.hash = '{view}'")
    name = view.removeprefix("#").partition("/")[0]
    page.wait_for(f"document.querySelector('.view-{name} h2') !== null")
    if name in ("answer", "compare"):
        page.wait_for("document.querySelector('.episode-result') !== null")
    page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")


@pytest.mark.parametrize("width", [1280, 390])
def test_no_view_is_wider_than_its_window(page: Page, width: int) -> None:
    page.set_size(width, 800)
    for view in _VIEWS:
        show_whole_view(page, view)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, view


@pytest.mark.parametrize("width", [1280, 390])
def test_words_without_an_end_are_broken(browser: Page, tmp_path: Path, width: int) -> None:
    word = "deoxyribonucleic" * 40
    trajectory = make_trajectory(0, 1_000, [word] * 3_000)
    task = Task("q-1", word, "en", word, (word,), "", (MetadataItem("specialty", word),))
    score = Score("incorrect", 0.0, word, scorer=word, judge=word, reason=word)
    answer = replace(make_answer(task, trajectory, "incorrect", model=word), scores=(score,))
    share = {"name": word, "value": 0.5, "low": 0.2, "high": 0.8, "n": 6, "unscored": 1}
    content = PageContent(
        title=word,
        headlines=(Headline(word, 0.95, (share,), (word,)),),
        curves=(Curve(word, "step", ((1, 3.0), (2, 1.0))),),
        tables=(Block(word, ("stage", "figures"), ((word, word),), (word,)),),
        answers=(answer, replace(answer, rollout=1)),
        notes=(word,),
    )
    files.write_page(Directory(str(tmp_path)), "report", content)
    browser.set_size(width, 800)
    browser.open(f"{tmp_path.as_uri()}/report.html")
    for view in _VIEWS:
        show_whole_view(browser, view)
        assert browser.evaluate("document.documentElement.scrollWidth") <= width, view


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_no_barrier(page: Page, colours: str, width: int) -> None:
    pytest.importorskip("axe_core_python", reason="no axe-core here: pip install 'medr-ray[test]'")
    axe = resources.files("axe_core_python").joinpath("axe.min.js").read_text()
    page.set_size(width, 800)
    page.prefer_colours(colours)
    page.evaluate(f"{axe}; 0")
    for view in _VIEWS:
        show_whole_view(page, view)
        barriers = page.evaluate(
            "axe.run().then(r => r.violations.map(v => [v.id, v.nodes.map(n => n.html)]))"
        )
        assert barriers == [], view


def test_hostile_texts_stay_texts(browser: Page, tmp_path: Path) -> None:
    hostile = make_hostile_answer()
    other = replace(hostile, model="other")
    content = PageContent(
        HOSTILE[0],
        (),
        (),
        (Block(HOSTILE[1], (HOSTILE[0],), ((HOSTILE[4],),)),),
        (hostile, other),
        (),
    )
    files.write_page(Directory(str(tmp_path)), "report", content)
    browser.errors.clear()
    browser.open(f"{tmp_path.as_uri()}/report.html")
    for view in ("#overview", "#answers", "#answer/0", "#compare/0/0/1"):
        show_whole_view(browser, view)
        assert browser.evaluate("window.isHarmed") is None
        assert browser.evaluate("document.querySelectorAll('main img, main script').length") == 0
        addresses = browser.evaluate("Array.from(document.links).map(link => link.protocol)")
        assert set(addresses) <= {"file:", "https:", "http:"}
    shown = browser.evaluate("document.querySelector('.episode-result').textContent")
    assert " ".join(HOSTILE) in shown
    assert browser.errors == []


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", " java\nscript:alert(1)", "data:text/html,x", "file:///etc", "//x", ""],
)
def test_only_addresses_of_the_web_become_links(page: Page, url: str) -> None:
    make_link = f"MedrEpisode.makeLink({json.dumps(url)}, 'label')"
    assert page.evaluate(f"[{make_link}.nodeName, {make_link}.textContent]") == ["SPAN", "label"]
    assert page.evaluate("MedrEpisode.makeLink('https://there.org/', 'label').nodeName") == "A"


@pytest.mark.parametrize("count", [600, 1_000])
def test_large_reports_open_within_seconds(browser: Page, tmp_path: Path, count: int) -> None:
    distinct = list(make_large_answers(20, 100_000))
    packed = [pack_trajectory(answer) for answer in distinct]
    answers = []
    for number in range(count):
        answer = distinct[number % 20]
        task = Task(f"q-{number}", f"What is thing {number}?", "en", answer.task.answer)
        answers.append(replace(answer, task=task))
    content = PageContent("Large", (), (), (), tuple(answers), ())
    files.write_packed_page(Directory(str(tmp_path)), "report", content, packed * (count // 20))
    # 600 fit into one file, 1,000 are a folder.
    assert (tmp_path / "report" / "index.html").exists() == (count == 1_000)
    browser.call("Page.navigate", url="about:blank")
    began = time.monotonic()
    browser.open(f"{tmp_path.as_uri()}/report.html")
    browser.evaluate("location.hash = '#answers'")
    browser.wait_for(f"{_ROWS}.length === 100")
    opened = time.monotonic() - began
    browser.evaluate(f"location.hash = '#answer/{count - 1}'")
    browser.wait_for("document.querySelector('.episode-result') !== null")
    shown = time.monotonic() - began
    print(f"{count} trajectories: opened and listed in {opened:.2f} s, the last one {shown:.2f} s")
    assert opened < _SLACK * _OPENING_SECONDS
    assert browser.errors == []
