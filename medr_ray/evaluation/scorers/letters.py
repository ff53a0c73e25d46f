"""Multiple choice: the letters of an answer, in English and Chinese.

Letters are read from the strongest evidence that there is, in this order: an answer that is nothing
but letters ("B", "(B)", "A, C"); what a statement says ("Answer: C", "the answer is (D)", "选A",
"答案：B"); the letter that a line begins with ("B. Aspirin"); an answer that is the text of one
option. Statements that differ say nothing, and neither does a choice ("A or B") or a mention ("not
B"): the answer is then wrong.
"""

import json
import re
import sys
from collections.abc import Mapping

from medr_ray.core.json_text import parse_json
from medr_ray.core.records import MetadataItem, Task
from medr_ray.evaluation.scorers.base import PureScorer, Score, build_score
from medr_ray.questions import answer_figures, answer_matching
from medr_ray.questions.answer_matching import answers_match, canonical_form

OPTIONS_KEY = "options"  # of the metadata item that holds the options by letter, as JSON
LETTERS = "ABCDEFGHIJ"  # that options may have
_NAME = "letters"
_MARKS = r"[\s\"'“”‘’*_`~#.。!！]*"
_OPENING = r"[(（\[【<「{]?"
_CLOSING = r"[)）\]】>」}]?"
_LETTER = rf"{_OPENING}{_MARKS}[A-J]{_MARKS}{_CLOSING}"
_JOINT = r"\s*(?:,|，|、|;|；|&|/|\band\b|和|与|\s)?\s*"
_LETTERS = rf"{_LETTER}(?:{_JOINT}{_LETTER}){{0,9}}"
_WORD = r"(?:option|choice|选项)?"
_ONLY_LETTERS = re.compile(
    rf"{_MARKS}(?:options?|choices?|选项)?{_MARKS}(?P<letters>{_LETTERS}){_MARKS}", re.IGNORECASE
)
_LABEL = (
    r"(?:(?:final|correct|best|right|exact|my)\s+){0,2}(?:answer|choice|option)s?"
    r"(?:\s+(?:is|are|would\s+be|should\s+be))?\s*(?:[:=]|\bis\b)?|"
    r"(?:i\s+)?(?:choose|chose|select|pick)|"
    r"(?:正确|最终|最佳)?(?:的)?答案(?:应该|应)?(?:是|为|选)?\s*[:：]?|(?:故|因此|所以|应|应该)?(?:选择|选)\s*[:：]?"
)
_STATEMENT = re.compile(
    rf"(?P<before>[^\n.。;；]{{0,40}}?)(?<![A-Za-z])(?:{_LABEL}){_MARKS}{_WORD}\s*"
    rf"(?P<letters>{_LETTERS})(?![A-Za-z0-9'’])(?P<after>[^\n]{{0,12}})",
    re.IGNORECASE,
)
_BOX = re.compile(r"\\boxed\{(?:\\text\{)?\s*(?P<letters>[A-J](?:\s*,?\s*[A-J])*)\s*\}{1,2}")
_LINE_START = re.compile(
    rf"^{_MARKS}(?P<letter>{_OPENING}[A-J]{_CLOSING}|[A-J])(?<=[)）\]】A-J])\s*"
    r"(?:(?<=[)）\]】])|[.:：、)）．]|(?=[(（]))\s*(?P<text>\S.*)$",
    re.MULTILINE,
)
_LETTER_AND_TEXT = re.compile(r"\s*(?P<letter>[A-J])\s+(?P<text>\S.*)", re.DOTALL)
# "Answer: A patient with fever": an article, and no choice.
_ARTICLE = re.compile(r"\s+(?!because|since|as\b|is\b|are\b)[a-z]")
_AND = re.compile(r"\band\b", re.IGNORECASE)
_MENTION = re.compile(
    r"\b(?:not|isn't|wasn't|if|unless|wrong|incorrect)\b|不|非|如果|错", re.IGNORECASE
)
_ALTERNATIVE = re.compile(
    rf"{_MARKS}(?:or|either|或者?|还是|,?\s*maybe)\b|{_MARKS}(?:或|还是)|"
    r"\s*(?:is|are)\s+(?:wrong|not|incorrect)",
    re.IGNORECASE,
)


def build_options_metadata(options: Mapping[str, str]) -> MetadataItem:
    """The metadata item with the options by letter."""
    return MetadataItem(OPTIONS_KEY, json.dumps(options, ensure_ascii=False))


def read_options(task: Task) -> dict[str, str]:
    """The options of a task by letter; none where it is no multiple choice."""
    options: dict[str, str] = parse_json(task.metadata_value(OPTIONS_KEY) or "{}", "the options")
    return options


def extract_letters(prediction: str, options: Mapping[str, str]) -> str:
    """The chosen letters in order of the alphabet, without repeats; "" where none is chosen.

    Only letters of ``options`` are a choice.
    """
    text = prediction.strip()
    only = _ONLY_LETTERS.fullmatch(text)
    # In one case: "a cad" is no three letters.
    if only and (_is_upper(only["letters"]) or len(text) <= 3):
        return _collect_letters(only["letters"], options)
    statements = _read_statements(text)
    if statements:
        choices = {_collect_letters(letters, options) for letters in statements}
        return choices.pop() if len(choices) == 1 else ""
    return _read_line_start(text, options) or _find_option(text, options)


def _read_statements(text: str) -> list[str]:
    """The letters of every statement; one that is empty stands for a choice that is none."""
    statements = [match["letters"] for match in _BOX.finditer(text)]
    for match in _STATEMENT.finditer(text):
        letters = match["letters"]
        is_article = letters == "A" and _ARTICLE.match(match["after"])
        if is_article or not _is_upper(letters):
            continue  # "the answer is a drug"
        if _MENTION.search(match["before"]):
            continue
        statements.append("" if _ALTERNATIVE.match(match["after"]) else letters)
    return statements


def _is_upper(letters: str) -> bool:
    return _AND.sub("", letters).isupper()


def _read_line_start(text: str, options: Mapping[str, str]) -> str:
    """The letter that stands before the text of its option, or begins the only such line."""
    matches = list(_LINE_START.finditer(text))
    letters = {_collect_letters(match["letter"], options) for match in matches}
    return letters.pop() if len(letters) == 1 else ""


def _find_option(text: str, options: Mapping[str, str]) -> str:
    """The letter of the one option whose text the answer is."""
    pair = _LETTER_AND_TEXT.fullmatch(text)
    if pair and canonical_form(pair["text"]) == canonical_form(options.get(pair["letter"], "")):
        return pair["letter"]
    letters = [letter for letter, option in options.items() if answers_match(text, option, ())]
    return letters[0] if len(letters) == 1 else ""


def _collect_letters(text: str, options: Mapping[str, str]) -> str:
    letters = set(_AND.sub("", text).upper()) & set(LETTERS)
    return "".join(sorted(letters)) if letters <= set(options) else ""


def _compare(task: Task, prediction: str) -> Score:
    letters = extract_letters(prediction, read_options(task))
    reason = "" if letters else "no letter of an option is chosen"
    return build_score(_NAME, letters == task.answer, letters, reason)


LETTERS_SCORER = PureScorer(
    _NAME, _compare, (sys.modules[__name__], answer_matching, answer_figures)
)
