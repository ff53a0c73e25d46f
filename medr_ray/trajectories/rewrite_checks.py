"""What a rewritten thought may not do: the reasons against a new text.

The evidence of a thought is the question, what the tools had returned up to then, the calls so far,
and the original thought itself, which the filter has accepted. A new text is refused when it

- has a document id, a number or a date that the evidence does not have, dates in any spelling, or a
  count in words ("three") that it has neither as a word nor as a figure,
- has a name that the evidence does not have: a word with a capital letter inside a sentence or a
  figure in it, with the ending of a drug's or a disease's name, or that a later query asks for and
  no wording of the rules teacher has; in Chinese any word in Latin letters, and what ends as a name
  of a disease, a drug or an organisation does,
- names the answer before a tool has returned it,
- leaves out a document id of the original, or states other candidates than the original,
- says that something is confirmed where neither the original says so nor a call has checked a
  candidate (``agent.answer_checks``),
- leaves out that a call failed or that sources disagree where the original says so, or says either
  where neither the original nor, of a failure, the last responses do,
- says after a failed call that nothing was found, where the original does not,
- changes the action, says what only guidance says, is empty, too long or in another language.

Words are compared, not meanings: a text that turns a sentence into its opposite with the words of
the evidence passes.
"""

import functools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from medr_ray.agent.answer_checks import find_checks
from medr_ray.agent.protocol import parse_reply
from medr_ray.agent.state import CANDIDATE, find_hypotheses, query_text
from medr_ray.agent.transcript import read_turns
from medr_ray.core.prompts import read_package_json
from medr_ray.core.records import Language, Task, Trajectory
from medr_ray.knowledge.name_normalization import fold_name
from medr_ray.llm.thoughts import split_thought
from medr_ray.questions.answer_matching import canonical_form, occurs_in
from medr_ray.trajectories.filtering import find_leak

# A new text may be three times as long as the original, and any text may have 600 characters.
_MAX_GROWTH = 3
_MIN_LIMIT_CHARS = 600
_WORDING = "medr_ray.trajectories.solver"
_WORDING_FILES = ("natural.en.json", "queries.json", "plain.en.json")
_HAN = re.compile(r"[\u3400-\u9fff]")
# ASCII: in Chinese text words follow without a space.
_DOCUMENT_ID = re.compile(r"(?<![\w:-])[A-Z][A-Z-]{1,20}:[A-Za-z0-9](?:[\w.-]*\w)?", re.ASCII)
_MONTHS = (
    "Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?"
    "|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?"
)
_DATE = re.compile(
    rf"\d{{4}}-\d{{2}}-\d{{2}}|(?:\d{{1,2}} )?\b(?:{_MONTHS})\b\.?(?: \d{{1,2}},)? \d{{4}}"
    r"|\d{4}\s?年\s?\d{1,2}\s?月(?:\s?\d{1,2}\s?日)?"
)
_CANONICAL_DATE = re.compile(r"\bdate\d{6,8}\b")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
# "One" and "two" are words of any text ("the two sources").
_COUNTS = {
    word: str(number)
    for number, word in enumerate(
        ["three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"], 3
    )
}
_HAN_COUNTS = {character: str(number) for number, character in enumerate("三四五六七八九十", 3)}
_HAN_COUNT = re.compile(
    r"(?<![第一二三四五六七八九十])([三四五六七八九十])(?=[个份项年种家款件次位名例])"
)
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9'+-]*")
_SENTENCE = re.compile(r"(?<=[.!?:;])\s+|(?<=[。！？：；])|\n+")
_NAME_ENDING = re.compile(
    r".{3,}(?:mab|nib|pril|sartan|azole|cillin|mycin|statin|vir|olol|gliptin|flozin|platin|parin"
    r"|caine|zepam|dopa|setron|triptan|lukast|glutide|itis|osis|a?emia|oma|opathy|plasia|uria"
    r"|algia|dystrophy|penia)$"
)
# Words that look like names and are none.
_ORDINARY = frozenset(
    ("i", "i'm", "i'll", "i've", "i'd", "fda", "english", "chinese", "candidate", "candidates")
) | frozenset(("diagnosis", "prognosis", "basis", "analysis", "hypothesis", "emphasis"))
_HAN_NAME = re.compile(
    r"([\u3400-\u9fff]{2})(综合征|病|症|瘤|癌|单抗|替尼|他汀|沙坦|普利|拉唑|霉素|西林|公司|大学|医院)"
)
_NO_NAME = re.compile(r"[这那该此种类本其的何某各每由家一了是在和与或为对致疾]")
_FAILURE = re.compile(
    r"\b(?:fail(?:s|ed|ure)?|errors?|unavailable|outage|unreachable|timed out|down"
    r"|did not (?:run|work|respond|answer)|not (?:available|reachable)|went wrong|broke)\b"
    r"|失败|出错|错误|不可用|故障|中断|未响应|没有响应|超时|无法访问|报错|未能运行",
    re.I,
)
_NOTHING_FOUND = re.compile(
    r"\b(?:nothing (?:was |is )?(?:found|there|recorded)|no (?:such )?(?:results?|records?|hits?"
    r"|entry|entries)|(?:was|is|were) not found|does not exist|found nothing)\b"
    r"|没有查到|未查到|没有找到|未找到|没有结果|无结果|没有记录|无记录|不存在",
    re.I,
)
_NOT_MEANT = re.compile(
    r"\b(?:not mean|not the same as|not say|says nothing)\b|不等于|不代表|不说明|并非|不能说明",
    re.I,
)
_CONFLICT = re.compile(
    r"\b(?:conflicts?|conflicting|disagrees?|differs?|contradicts?|contradict\w+|discrepan\w+"
    r"|(?:does|do) not (?:match|agree))\b|不一致|冲突|矛盾|不符|不同的说法|不相同",
    re.I,
)
_CONFIRMATION = re.compile(
    r"\b(?:confirm(?:s|ed)|confirmation|verified|verifies|corroborat\w+|double-checked"
    r"|(?:both|two|second|other|another|independent) (?:independent )?(?:sources?|records?) "
    r"(?:agrees?|says? (?:so|the same)|states? (?:so|the same)|supports?|gives? the same))\b"
    r"|证实|确认|核实|印证|验证|(?:来源|记录)(?:都|均|也)?一致",
    re.I,
)
# Before a word of confirmation, in the same sentence: it has not happened.
_NOT_YET = re.compile(
    r"\b(?:not|no|un|never|without|before|until|unless|to be|needs?|want|wish|should|must|will"
    r"|would|can|could|if|whether|for|remains?|still|yet|await\w*|lacks?)\b"
    r"|未|没|待|需|要|想|再|先|应|若|是否|去|来|以便|为了|尚|缺|进一步",
    re.I,
)


@dataclass(frozen=True)
class _Rewriting:
    """A new text for the thought in message ``number``, and what it is judged by.

    ``seen`` is the question, the responses and the calls up to then; ``evidence`` has the
    original's message as well.
    """

    task: Task
    content: str
    original: str
    text: str
    seen: str
    evidence: str
    answer: str
    later_names: frozenset[str]
    has_failed: bool
    has_checked: bool


def find_rewrite_problems(
    trajectory: Trajectory, task: Task, number: int, original: str, text: str, changed_content: str
) -> Iterator[str]:
    """Why a new text for the thought in message ``number`` cannot be used; ``changed_content`` is
    the message with it."""
    rewriting = _gather(trajectory, task, number, original, text)
    if not text:
        yield "the text is empty"
    if len(text) > max(_MAX_GROWTH * len(original), _MIN_LIMIT_CHARS):
        yield "the text is too long"
    if not _has_same_action(rewriting.content, changed_content, text):
        yield "the text changes the action"
    if find_leak(text):
        yield "the text says what only guidance says"
    if (_HAN.search(text) is not None) != (task.language == "zh"):
        yield "the text is in another language"
    yield from _find_additions(rewriting)
    yield from _find_changed_status(rewriting)


def _gather(
    trajectory: Trajectory, task: Task, number: int, original: str, text: str
) -> _Rewriting:
    messages = trajectory.messages
    # The system's message gives no evidence.
    seen_text = "\n".join(
        split_thought(message.content).rest if message.role == "assistant" else message.content
        for message in messages[1:number]
    )
    reply = sum(message.role == "assistant" for message in messages[:number])
    turns = read_turns(trajectory)[:reply]
    statuses = [[observation.event.status for observation in turn.observations] for turn in turns]
    failures = [any(status != "ok" for status in reply_statuses) for reply_statuses in statuses]
    return _Rewriting(
        task,
        messages[number].content,
        original,
        text,
        seen_text,
        f"{seen_text}\n{messages[number].content}",
        trajectory.answer or "",
        later_names=_list_later_names(trajectory, reply),
        has_failed=bool(failures) and failures[-1],
        has_checked=any(find_checks(trajectory)[:reply]),
    )


def _list_later_names(trajectory: Trajectory, reply: int) -> frozenset[str]:
    """The words of the queries after a reply that are no words of the rules teacher."""
    queries = [
        query_text(observation)
        for turn in read_turns(trajectory)[reply + 1 :]
        for observation in turn.observations
    ]
    words = re.findall(r"[a-z0-9]+", fold_name(" ".join(queries)))
    return frozenset(words) - _read_ordinary_words()


@functools.cache
def _read_ordinary_words() -> frozenset[str]:
    """The English words of the rules teacher's wording."""
    lists = [read_package_json(_WORDING, file) for file in _WORDING_FILES]
    return frozenset(re.findall(r"[a-z]+", json.dumps(lists).casefold()))


def _has_same_action(content: str, changed_content: str, text: str) -> bool:
    """Whether the changed message parses to the new thought and to the action of the original."""
    original = parse_reply(content)
    changed = parse_reply(changed_content)
    original_action = (original.calls, original.problems, original.answer)
    changed_action = (changed.calls, changed.problems, changed.answer)
    return changed.thought == text and changed_action == original_action


# --- facts ----------------------------------------------------------------------------


def _find_additions(rewriting: _Rewriting) -> Iterator[str]:
    text = rewriting.text
    evidence = rewriting.evidence
    new_ids = set(_DOCUMENT_ID.findall(text)) - set(_DOCUMENT_ID.findall(evidence))
    if new_ids:
        yield "the text adds a document id"
    if not _has_dates(text, evidence):
        yield "the text adds a date"
    new_numbers = _list_numbers(_DATE.sub(" ", text)) - _list_numbers(evidence)
    if new_numbers or not _has_counts(text, evidence):
        yield "the text adds a number"
    # Without the answer that this message gives, unless the original thought names it.
    seen_text = f"{rewriting.seen}\n{rewriting.original}"
    answer = rewriting.answer
    if answer and occurs_in(answer, text) and not occurs_in(answer, seen_text):
        yield "the text gives the answer away"
    without_ids = _DATE.sub(" ", _DOCUMENT_ID.sub(" ", text))
    new_names = _list_new_names(without_ids, evidence, rewriting.task.language)
    text_words = set(re.findall(r"[a-z0-9]+", fold_name(without_ids)))
    evident_words = set(re.findall(r"[a-z0-9]+", fold_name(evidence)))
    if any(new_names) or (text_words - evident_words) & rewriting.later_names:
        yield "the text adds a name"


def _has_dates(text: str, evidence: str) -> bool:
    """Whether the evidence has every date of the text; a month of one of its days counts."""
    dates = {match for date in _DATE.findall(text) for match in _read_dates(date)}
    evident_dates = _read_dates(evidence)
    return all(any(evident.startswith(date) for evident in evident_dates) for date in dates)


def _read_dates(text: str) -> set[str]:
    return set(_CANONICAL_DATE.findall(canonical_form(text)))


def _list_numbers(text: str) -> set[str]:
    return set(_NUMBER.findall(_THOUSANDS.sub("", text)))


def _has_counts(text: str, evidence: str) -> bool:
    """Whether the evidence has every count in words, as a word or as a figure."""
    numbers = _list_numbers(evidence)
    words = set(re.findall(r"[a-z]+", evidence.casefold()))
    for word in re.findall(r"[a-z]+", text.casefold()):
        if word in _COUNTS and word not in words and _COUNTS[word] not in numbers:
            return False
    return all(
        character in evidence or _HAN_COUNTS[character] in numbers
        for character in _HAN_COUNT.findall(text)
    )


def _list_new_names(text: str, evidence: str, language: Language) -> Iterator[str]:
    """The names of a text that the evidence does not have."""
    words = set(re.findall(r"[a-z0-9]+", fold_name(evidence)))
    for sentence in _SENTENCE.split(text):
        for place, match in enumerate(_WORD.finditer(sentence)):
            word = match.group()
            is_name = language == "zh" or _looks_like_name(word, is_first=place == 0)
            is_name = is_name and not word.isdigit()  # numbers are looked at apart
            parts = re.findall(r"[a-z0-9]+", fold_name(word.removesuffix("'s")))
            if is_name and not set(parts) <= words and word.casefold() not in _ORDINARY:
                yield word
    for match in _HAN_NAME.finditer(text):
        if not _NO_NAME.search(match.group(1)) and match.group() not in evidence:
            yield match.group()


def _looks_like_name(word: str, is_first: bool) -> bool:
    has_figure = any(character.isdigit() for character in word)
    has_inner_capital = any(character.isupper() for character in word[1:])
    is_capital = word[0].isupper() and not is_first
    return (
        has_figure
        or has_inner_capital
        or is_capital
        or _NAME_ENDING.match(word.casefold()) is not None
    )


# --- what was looked up ---------------------------------------------------------------


def _find_changed_status(rewriting: _Rewriting) -> Iterator[str]:
    original = rewriting.original
    text = rewriting.text
    if not set(_DOCUMENT_ID.findall(original)) <= set(_DOCUMENT_ID.findall(text)):
        yield "the text leaves out a document id"
    # With its answer, a reply may say once more what it is.
    answers = {canonical_form(parse_reply(rewriting.content).answer or "")}
    if _list_candidates(original) - answers != _list_candidates(text) - answers:
        yield "the text states other candidates"
    if _confirms(text) and not _confirms(original) and not rewriting.has_checked:
        yield "the text says that something is confirmed"
    if _FAILURE.search(original) and rewriting.has_failed and not _FAILURE.search(text):
        yield "the text leaves out that a call failed"
    if _FAILURE.search(text) and not (rewriting.has_failed or _FAILURE.search(original)):
        yield "the text reports a failure that was none"
    if rewriting.has_failed and _says_nothing_found(text) and not _says_nothing_found(original):
        yield "the text takes a failure for an empty result"
    if bool(_CONFLICT.search(original)) != bool(_CONFLICT.search(text)):
        yield "the text says otherwise whether sources disagree"


def _says_nothing_found(text: str) -> bool:
    """Whether a sentence says so, and not that a failure does not mean it."""
    return any(
        not _NOT_MEANT.search(sentence[: match.start()])
        for sentence in _SENTENCE.split(text)
        for match in _NOTHING_FOUND.finditer(sentence)
    )


def _list_candidates(thought: str) -> set[str]:
    hypotheses = find_hypotheses(thought)
    return {canonical_form(text) for kind, text in hypotheses if kind == CANDIDATE}


def _confirms(text: str) -> bool:
    """Whether a sentence says that something is confirmed, and not that it is to be."""
    return any(
        not _NOT_YET.search(sentence[: match.start()])
        for sentence in _SENTENCE.split(text)
        for match in _CONFIRMATION.finditer(sentence)
    )
