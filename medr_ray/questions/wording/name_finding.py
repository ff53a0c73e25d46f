"""What a text names: entities, dates, categories, with their places in it.

Names are found by word runs, blind to case, accents, spelling and to which synonym is used. The
longest name at a place counts. A run of ordinary words ("the trial", "medicine") is no name, and a
gene is named by its symbol in capitals.
"""

import calendar
import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from medr_ray.core.records import Language, LiteralValue
from medr_ray.graph.facts.fact_table import FactTable
from medr_ray.graph.facts.registry_relations import make_value_id
from medr_ray.knowledge.name_normalization import fold_name
from medr_ray.knowledge.registries.identifiers import make_patent_id
from medr_ray.questions.wording.cues import NOUNS
from medr_ray.questions.wording.mentions import Mentions
from medr_ray.questions.wording.vocabulary import Word, open_vocabulary

_MAX_NAME_WORDS = 20  # words; an institution's name may be long
_WORD = re.compile("[^\\W_\u4e00-\u9fff]+")  # a name in ideographs stands in brackets with its own
_IDEOGRAPH = re.compile("[\u4e00-\u9fff]")
# A Chinese name in front of the registry's in brackets: "罗氏（Hoffmann-La Roche）".
_BEFORE_BRACKET = re.compile("[\u4e00-\u9fff·]{1,30}$")
_TRIAL = re.compile(r"(?<![a-z0-9])NCT\d{8}(?!\d)", re.IGNORECASE)
_APPLICATION = re.compile(r"(?<![A-Za-z])(NDA|BLA|ANDA)\s*#?\s*0*(\d{3,6})(?!\d)")
_PATENT = re.compile(
    r"(?:(?:US|U\.S\.|United States) (?:reissue )?patent (?:(?:No\.|number) )?|美国专利（?|美国第"
    r"|reissue patent )(?P<number>(?:RE)?\d[\d,]*\d)(?:）|号专利)?(?: \(US\))?",
    re.IGNORECASE,
)
_PMID = re.compile(r"(?:the paper with )?PMID[ :为]{0,2}(\d+)(?:的论文)?", re.IGNORECASE)
_QUOTED = re.compile('“([^”]+)”|《([^》]+)》|"([^"]+)"')
_MONTHS = (
    r"Jan(?:uary|\.)?|Feb(?:ruary|\.)?|Mar(?:ch|\.)?|Apr(?:il|\.)?|May|June?|July?|Aug(?:ust|\.)?"
    r"|Sept?(?:ember|\.)?|Oct(?:ober|\.)?|Nov(?:ember|\.)?|Dec(?:ember|\.)?"
)
_MONTH_LETTERS = 3  # by which months differ
_FIRST_LETTERS = tuple(month.lower()[:_MONTH_LETTERS] for month in calendar.month_name[1:])
_DATE = re.compile(
    rf"(?P<day>\d{{1,2}})(?:st|nd|rd|th)? (?:of )?(?P<month>{_MONTHS}),? (?P<year>\d{{4}})"
    rf"|\b(?P<month2>{_MONTHS}) (?P<day2>\d{{1,2}})(?:st|nd|rd|th)?,? (?P<year2>\d{{4}})"
    rf"|\b(?P<month3>{_MONTHS}),? (?P<year3>\d{{4}})"
    r"|(?P<year4>\d{4})[-/.](?P<month4>\d\d?)[-/.](?P<day4>\d\d?)(?!\d)"
    r"|(?P<year5>\d{4})\s*年(?:\s*(?P<month5>\d{1,2})\s*月(?:\s*(?P<day5>\d{1,2})\s*日)?)?"
    r"|(?P<year6>(?<![\w.])(?:19|20)\d\d(?![\w%]))"
)
_MODES = {
    "HP:0000006": r"autosomal[- ]dominant(?:ly)?|常染色体显性",
    "HP:0000007": r"autosomal[- ]recessive(?:ly)?|常染色体隐性",
    "HP:0001417": r"X[- ]linked(?! (?:dominant|recessive))|X[- ]?(?:染色体)?连锁(?!显性|隐性)",
    "HP:0001419": r"X[- ]linked recessive|X[- ]?(?:染色体)?连锁隐性",
    "HP:0001423": r"X[- ]linked dominant|X[- ]?(?:染色体)?连锁显性",
    "HP:0001427": r"mitochondrial(?:ly)?(?= inherit)|线粒体(?=遗传)",
}
# A LiverTox score is a letter; "A" is an article, too.
_SCORE = re.compile(
    r"(?<![A-Za-z0-9’'-])[B-E](?:\*|\[HD\])?(?![A-Za-z0-9’'-])"
    r"|(?:(?<=\bof )|(?<=\bas )|(?<=\ban )|(?<=score )|(?<=category )|(?<=grade )|(?<=rating )"
    r"|(?<=\brate[sd] )|(?<=\bscore[sd] )|(?<=\bgrade[sd] ))A\b"
    r"|(?<=[为是])A(?![A-Za-z0-9])"
)
_LETTER = re.compile(r"(?:with|letter|以)(?: the letter| an?)?\s*[“\"']?([A-Z])(?![A-Za-z0-9*])")
_TRIAL_BESIDE = (
    re.compile(r"\s*[”\"]?\s*的?(?:clinical )?(?:trial|study|临床|试验|研究|项目)", re.IGNORECASE),
    re.compile(
        r"(?:(?:trial|study|试验|研究)(?: called| named| known as)?|简称为?|[名称]为)\s*[“\"]?\s*$",
        re.IGNORECASE,
    ),
)


@dataclass(frozen=True)
class Name:
    """A place of a text where something is named: the ids that it may mean, each with its type."""

    start: int
    end: int
    text: str
    options: tuple[tuple[str, str], ...]


class NameFinder:
    """Finds the names of one language in texts."""

    def __init__(self, table: FactTable, mentions: Mentions, language: Language) -> None:
        self._table = table
        self._mentions = mentions
        self._vocabulary = open_vocabulary(language)

    def find(self, text: str) -> list[Name]:
        """The names in a text, in order; none overlaps another."""
        names: list[Name] = []
        # The longest, then the first listed.
        for name in sorted(self.list_candidates(text), key=_rank):
            if all(name.end <= other.start or name.start >= other.end for other in names):
                names.append(name)
        return sorted((_include_translation(name, text) for name in names), key=_place)

    def list_candidates(self, text: str) -> Iterator[Name]:
        """All that may be a name, some of it within or across others."""
        yield from self._find_numbered(text)
        yield from _find_values(text)
        yield from self._find_acronyms(text)
        yield from self._find_entities(text)

    def _find_numbered(self, text: str) -> Iterator[Name]:
        for match in _TRIAL.finditer(text):
            yield self._name_if_recorded(match, f"NCT:{match[0].upper()}", "trial")
        for match in _APPLICATION.finditer(text):
            entity_id = f"FDA:{match[1]}{int(match[2]):06}"
            yield self._name_if_recorded(match, entity_id, "application")
        for match in _PATENT.finditer(text):
            patent_id = make_patent_id(match["number"].replace(",", ""))
            yield self._name_if_recorded(match, patent_id, "patent")
        for match in _PMID.finditer(text):
            yield self._name_if_recorded(match, f"PMID:{match[1]}", "paper")
        for match in _QUOTED.finditer(text):
            title = match[1] or match[2] or match[3]
            for form in (title, f"{title.rstrip('.')}."):
                papers = [i for i in self._table.find_by_name(form) if i.startswith("PMID:")]
                if papers:
                    options = tuple((paper, "paper") for paper in papers)
                    yield Name(*match.span(), match[0], options)
                    break
            else:
                if title not in self._acronyms:  # the words of a record, such as an outcome
                    value = make_value_id(LiteralValue("text", title))
                    yield Name(*match.span(), match[0], ((value, "text"),))

    def _name_if_recorded(self, match: re.Match[str], entity_id: str, entity_type: str) -> Name:
        is_recorded = self._table.type_of(entity_id) == entity_type
        options = ((entity_id, entity_type),) if is_recorded else ()
        return Name(*match.span(), match[0], options)

    def _find_acronyms(self, text: str) -> Iterator[Name]:
        """Acronyms of trials: any word may be one, so it has to be called a trial."""
        for start, end, run in _list_runs(text):
            value = self._acronyms.get(run)
            after, before = _TRIAL_BESIDE
            if value and (after.match(text, end) or before.search(text, 0, start)):
                yield Name(start, end, run, ((value, "text"),))

    @functools.cached_property
    def _acronyms(self) -> dict[str, str]:
        return {value.partition("/")[2]: value for value in self._table.objects("trial_acronym")}

    def _find_entities(self, text: str) -> Iterator[Name]:
        ordinary = [word for word in self._vocabulary.split(text) if word.meanings]
        for start, end, run in _list_runs(text):
            if len(run) < 2 or _is_ordinary(start, end, ordinary):
                continue
            options = tuple(
                (entity_id, entity_type)
                for entity_id in self._mentions.find_entities(run)
                if (entity_type := self._table.type_of(entity_id)) is not None
                and (entity_type != "gene" or _is_symbol(run))
            )
            if options:
                yield Name(start, end, run, options)


def _is_ordinary(start: int, end: int, ordinary: Sequence[Word]) -> bool:
    """Whether a run consists of ordinary words, which some entity has as its name ("injury" in
    "liver injury")."""
    covered = sum(
        min(end, word.end) - max(start, word.start)
        for word in ordinary
        if word.start < end and start < word.end
    )
    between = sum(word.start > start for word in ordinary if word.start < end)
    return covered + between >= end - start


def _list_runs(text: str) -> Iterator[tuple[int, int, str]]:
    """Runs of words, each with and without the sign after it ("Inc.", "(TM)")."""
    words = [match.span() for match in _WORD.finditer(text)]
    for first in range(len(words)):
        for last in range(first, min(len(words), first + _MAX_NAME_WORDS)):
            start, end = words[first][0], words[last][1]
            yield start, end, text[start:end]
            if text[end : end + 1] in (".", ")", "*", "+", "]"):
                yield start, end + 1, text[start : end + 1]


def _is_symbol(run: str) -> bool:
    return " " in run or any(char.isdigit() for char in run) or run.isupper()


def parse_date(words: str) -> str:
    """The ISO date of a date in words or in figures; "" where it is none."""
    match = _DATE.fullmatch(words.strip())
    return _format_date(match) if match else ""


def take_out_dates(text: str) -> tuple[list[str], str]:
    """The ISO dates that a text names, and the text without them."""
    dates = [_format_date(match) for match in _DATE.finditer(text)]
    return dates, _DATE.sub(" ", text)


def _format_date(match: re.Match[str]) -> str:
    parts = {name.rstrip("23456"): part for name, part in match.groupdict().items() if part}
    month = parts.get("month", "")
    if month and not month.isdigit():
        month = str(_FIRST_LETTERS.index(month[:_MONTH_LETTERS].lower()) + 1)
    iso = parts["year"]
    if month:
        iso += f"-{int(month):02}"
    if "day" in parts:
        iso += f"-{int(parts['day']):02}"
    return iso


def _find_values(text: str) -> Iterator[Name]:
    for match in _DATE.finditer(text):
        iso = _format_date(match)
        value = make_value_id(LiteralValue("date", iso))
        yield Name(*match.span(), match[0], ((value, "date" if len(iso) > 4 else "year"),))
    for mode, pattern in _MODES.items():
        for match in re.finditer(pattern, text, re.IGNORECASE):
            yield Name(*match.span(), match[0], ((mode, "value"),))
    for match in _LETTER.finditer(text):
        value = make_value_id(LiteralValue("text", match[1]))
        yield Name(*match.span(1), match[1], ((value, "text"),))
    for match in _SCORE.finditer(text):
        value = make_value_id(LiteralValue("category", match[0]))
        yield Name(*match.span(), match[0], ((value, "category"),))


def _include_translation(name: Name, text: str) -> Name:
    """The name with its brackets, and with the Chinese name in front of them, which no table of
    the run has."""
    if text[name.start - 1 : name.start] not in ("（", "(") or not name.start:
        return name
    if text[name.end : name.end + 1] not in ("）", ")"):
        return name
    match = _BEFORE_BRACKET.search(text, 0, name.start - 1)
    start = name.start - 1
    if match:
        start = _cut_translation(text, match.start(), start)
    return Name(start, name.end + 1, text[start : name.end + 1], name.options)


def _cut_translation(text: str, start: int, end: int) -> int:
    """Where the Chinese name before a bracket begins: at the characters without a meaning before
    it, with single ones that have one by chance ("他" in "吉西他滨"), and a noun ("大学") at its
    end."""
    words = open_vocabulary("zh").split(text[start:end], start)
    while words and not words[-1].meanings.isdisjoint(NOUNS):
        words.pop()
    first = end
    for word in reversed(words):
        if not word.meanings:
            first = word.start
        elif word.end - word.start > 1:
            break
    return first


def _rank(name: Name) -> int:
    return name.start - name.end


def _place(name: Name) -> int:
    return name.start


def list_names_in(text: str, names: Sequence[str]) -> list[str]:
    """Which of the names stand in a text, as whole words, blind to case, accents and spelling; a
    name in capitals in capitals alone, as "WAS" may be any word in small letters."""
    folded = f" {fold_name(text)} "
    return [
        name
        for name in names
        if f" {fold_name(name)} " in folded
        and (not name.isupper() or re.search(rf"(?<![A-Za-z0-9]){re.escape(name)}", text))
    ]
