"""An answer with its sources, from nothing but what the episode was shown.

A source is a document that the agent cites by its id in its last reply, or whose shown text states
the answer. Each comes with the line or sentence that states it, or the closest one, with its page,
and with the date it is of. Nothing is inferred: where no document states the answer, the remark
says so, and an id that was cited but never shown is listed as unresolved.

A line states an answer that it names (``wording.find_names``), and a line of a record one that is
its value. A document that has the same value of something else is no source: it must share with the
question or its query a word that is neither the answer's nor one of those that every record has
("score", "inheritance"), and of the results of one call not much less than the best. The record of
a disease or drug with a similar name is none either. An answer that the question already names must
stand in a line; a title of that name states nothing of it.
"""

import functools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from medr_ray.agent.state import ANSWER, document_passages, query_text
from medr_ray.agent.transcript import ReplyTurn, ToolObservation, read_turns
from medr_ray.agent.wording import content_words, find_names
from medr_ray.core.prompts import read_prompt
from medr_ray.core.records import Language, Trajectory
from medr_ray.questions.answer_matching import answers_match
from medr_ray.retrieval.documents import REGISTRY_PREFIXES, Document, document_url
from medr_ray.retrieval.record_lines import (
    FIELD_PREDICATES,
    read_record_lines,
    split_record_lines,
)
from medr_ray.retrieval.registry_records import REGISTRY_NAMES
from medr_ray.retrieval.snippets import ELLIPSIS, sentence_spans
from medr_ray.tools.reading.record_quoting import asks_for_field

FindDocument = Callable[[str], Document | None]
NO_EDITIONS: Mapping[str, str] = MappingProxyType({})

_MAX_CITATIONS = 5  # beyond those that the agent cites itself: more nobody checks
# The share of the best result's weight that another result of the call must have to be about the
# question too. Half separates "vincristine" from a neighbour that shares only the record's words.
_ABOUT_SHARE = 0.5
_SHORTEST_NAME = 3  # characters; a shorter text stands in almost any line
_LONGEST_NAME = 120  # characters; a longer answer is sentences, which no line repeats
_QUOTE_CHARS = 400
# Answers that say nothing which a line could state.
_NO_STATEMENTS = frozenset(
    {
        "yes",
        "no",
        "none",
        "unknown",
        "true",
        "false",
        "not found",
        "是",
        "否",
        "不是",
        "没有",
        "未知",
    }
)
# Words of questions and records that name no disease, drug, gene or trial, beside those of the
# fields of records and of the registries' names.
_GENERAL_WORDS = """
associated average cause caused causes class clinical clinically collaborator compared countries
country cause defect deficiency disease diseases disorder disorders drug drugs effect effects
following frequency gene genes give gives given human incidence inheritance inherited injury
likelihood likely lists liver livertox main many mode mutated mutation mutations names ncbi
bookshelf new number omim onset patient patients period point prevalence probable probably rare
rate record records registry report reported reports score single site sites studied study symptoms
syndrome text therapy transmission treatment treatments trial trials type unlikely use used variant
variants versus worldwide year years
"""
# Records with one disease or drug for a title, and what LiverTox puts behind it.
_NAMED_RECORDS = ("HPO:", "ORPHANET:", "LIVERTOX:")
_TITLE_END = " - LiverTox"
_PREFIXES = "|".join(sorted(REGISTRY_PREFIXES.values(), key=len, reverse=True))
# Ids as agents write them: with the prefix of the source, or as the source prints them.
_PREFIXED_ID = re.compile(rf"(?<![\w-])({_PREFIXES}):\s?([^\s;,()\[\]{{}}<>\"'，；。（）、]+)")
_PMID = re.compile(r"(?<![\w-])PMID\s{0,2}:?\s{0,2}(\d{1,8})\b", re.I)
_NCT_NUMBER = re.compile(r"\bNCT\d{8}\b")
_RECORD_NUMBER = re.compile(r"(?<![\w:])(?:OMIM|ORPHA|DECIPHER):\d+\b|\b(?:A?NDA|BLA)\d{6}\b")
_ADDRESS = re.compile(r"https?://[^\s;,()\[\]<>\"'，；。（）、]+")
_BRACKETS = re.compile(r"\s*[(（][^()（）]*[)）]")
_LIST_BREAK = re.compile(r"[;；、\n]")
_REGISTRY_HEADINGS = tuple(f"{name}: " for name in REGISTRY_NAMES.values())
# What stands before a document's text in an observation: "[1] TITLE (ID, as of 2020): ".
_NUMBER = re.compile(r"^(?:\[\d+\] |\d+\. [\d.]+% )")
_QUOTED = re.compile(r'^\[\d+\] "(.*)"$')
_RECORD_DATE = re.compile(r"; as of: (\d{4}-\d{2}-\d{2})$", re.M)
_YEAR = re.compile(r"(?:19|20)\d\d")  # of questions "as of" a day, and of every record
_AS_OF = "as of "
_WEB_PREFIX = "WEB:"
_PAPER_PREFIX = "PMID:"


@dataclass(frozen=True)
class CitedDocument:
    """A source of an answer.

    ``as_of`` is the date or year of a record's edition, ``published`` the year of a paper; "" where
    the document does not say. ``quote`` is a line or sentence of what the agent was shown;
    ``states_answer`` says whether it states the answer, or is only the closest one of a document
    that the agent cites. ``url`` is "" where no page is known.
    """

    document_id: str
    title: str
    url: str
    as_of: str
    published: str
    quote: str
    states_answer: bool


@dataclass(frozen=True)
class UnresolvedId:
    """An id that the agent cites without having been shown its document. ``mentioned_in`` are the
    documents that were shown and name it."""

    document_id: str
    mentioned_in: tuple[str, ...]


@dataclass(frozen=True)
class CitedAnswer:
    """An answer with its sources, those that state it first. ``remark`` says what is missing, ""
    where nothing is; ``notice`` that it is not medical advice."""

    text: str | None
    citations: tuple[CitedDocument, ...]
    unresolved: tuple[UnresolvedId, ...]
    remark: str
    notice: str


@dataclass
class _ShownDocument:
    """What an episode was shown of a document. By at least one call it is about what was asked
    where it ``is_about``, by the ``weight`` of the words that they share."""

    document_id: str
    title: str = ""
    date_text: str = ""
    statements: dict[str, None] = field(default_factory=dict)  # lines and sentences, in order
    weight: float = 0.0
    is_about: bool = False


def cite_answer(
    trajectory: Trajectory,
    language: Language,
    find_document: FindDocument | None = None,
    editions: Mapping[str, str] = NO_EDITIONS,
) -> CitedAnswer:
    """The answer of an episode with its sources.

    ``find_document`` looks documents up, for their whole titles and lines and their exact dates;
    without it both are as the agent saw them. ``editions`` are the dates of sources whose documents
    have none, by the prefix of their ids.
    """
    turns = read_turns(trajectory)
    question = next((m.content for m in trajectory.messages if m.role == "user"), "")
    notice = read_notice(language)
    if trajectory.answer is None:
        return CitedAnswer(None, (), (), _read_text("unanswered", language), notice)
    parts = _split_answer(trajectory)
    documents = _collect_documents(turns, question, " ".join(parts))
    last_reply = f"{turns[-1].thought}\n{trajectory.answer}" if turns else trajectory.answer
    cited_ids, unknown_ids = _find_cited(last_reply, question, documents)
    sources = _choose_sources(parts, question, documents, cited_ids)
    stated = {part for part in parts if any(part in named for _, _, named in sources)}
    missing = [part for part in parts if part not in stated]
    return CitedAnswer(
        trajectory.answer,
        tuple(
            _build_citation(document, quote, bool(named), find_document, editions)
            for document, quote, named in sources
        ),
        tuple(
            UnresolvedId(cited_id, _find_mentions(cited_id, documents)) for cited_id in unknown_ids
        ),
        _write_remark(language, missing, bool(stated))
        or _write_field_remark(language, question, sources),
        notice,
    )


def read_notice(language: Language) -> str:
    """The sentence that an answer is not medical advice."""
    return _read_text("notice", language)


def _read_text(name: str, language: Language) -> str:
    return read_prompt("medr_ray.agent", name, language).strip()


def _write_remark(language: Language, missing: Sequence[str], is_partly_stated: bool) -> str:
    if not missing:
        return ""
    if not is_partly_stated:
        return _read_text("unstated", language)
    return _read_text("partly_stated", language).replace("{parts}", "; ".join(missing))


def _write_field_remark(
    language: Language,
    question: str,
    sources: Sequence[tuple[_ShownDocument, str, list[str]]],
) -> str:
    """What is to be said where records state the answer, but of something that the question has no
    word for; "" otherwise. Fields have English names."""
    lines = [(document.document_id, quote) for document, quote, parts in sources if parts]
    predicates = []
    for document_id, quote in lines:
        stated = read_record_lines(document_id, quote)
        if not stated or language != "en" or asks_for_field(question, document_id, quote):
            return ""
        predicates += [line.predicate.removeprefix("has_").replace("_", " ") for line in stated]
    fields = ", ".join(dict.fromkeys(predicates))
    return _read_text("other_field", language).replace("{fields}", fields) if fields else ""


# --- what was shown -------------------------------------------------------------------


def _collect_documents(
    turns: Sequence[ReplyTurn], question: str, answer: str
) -> dict[str, _ShownDocument]:
    """The documents of all calls, with what was shown of each."""
    documents: dict[str, _ShownDocument] = {}
    context = question
    for turn in turns:
        context += f"\n{turn.thought}"
        for observation in turn.observations:
            request = _Asked(question, query_text(observation), context, answer)
            for document in _read_observation(observation, request):
                seen = documents.setdefault(document.document_id, document)
                if seen is not document:
                    seen.title = seen.title or document.title
                    seen.date_text = seen.date_text or document.date_text
                    seen.statements |= document.statements
                    seen.weight = max(seen.weight, document.weight)
                    seen.is_about |= document.is_about
    return documents


@dataclass(frozen=True)
class _Asked:
    """What a call asked: the episode's question, the call's query, the question and thoughts up to
    it, and the answer, whose words are none of what was asked."""

    question: str
    query: str
    context: str
    answer: str

    def list_words(self, text: str) -> frozenset[str]:
        """The words of a text that name something beside the answer."""
        words = content_words(text) - content_words(self.answer) - _list_general_words()
        return frozenset(word for word in words if not _YEAR.fullmatch(word))


@functools.cache
def _list_general_words() -> frozenset[str]:
    fields = [field for by_field in FIELD_PREDICATES.values() for field in by_field]
    predicates = [name for by_field in FIELD_PREDICATES.values() for name in by_field.values()]
    texts = [*fields, *predicates, *REGISTRY_NAMES.values(), _GENERAL_WORDS]
    return content_words(" ".join(texts).replace("_", " "))


def _read_observation(observation: ToolObservation, asked: _Asked) -> list[_ShownDocument]:
    """The documents of a call, weighed by the words that they share with what was asked: a word of
    few of the results weighs most."""
    passages = document_passages(observation)
    words = asked.list_words(f"{asked.question} {asked.query}")
    shared = [words & content_words(passage) for _, passage in passages]
    counts = Counter(word for words in shared for word in words)
    documents = []
    for (document_id, passage), words in zip(passages, shared, strict=True):
        document = _read_passage(document_id, passage)
        weights = (math.log((1 + len(passages)) / counts[word]) for word in words)
        document.weight = math.fsum(weights)
        documents.append(document)
    best = max((document.weight for document in documents), default=0.0)
    for document, (_, passage), words in zip(documents, passages, shared, strict=True):
        is_near = 0 < document.weight >= _ABOUT_SHARE * best
        document.is_about = is_near and not _is_namesake(document, passage, words, asked)
    return documents


def _is_namesake(
    document: _ShownDocument, passage: str, shared: frozenset[str], asked: _Asked
) -> bool:
    """Whether a record is of another disease or drug, whose name has words of the one asked for:
    nobody named it, it has not all words of the query, and it shares none beside its title's."""
    if not document.document_id.startswith(_NAMED_RECORDS) or not document.title:
        return False
    name = document.title.partition(_TITLE_END)[0]
    if find_names(f"{asked.context} {asked.query}", [name]):
        return False
    lacks_words = bool(asked.list_words(asked.query) - content_words(passage))
    return lacks_words and not shared - content_words(name)


def _read_passage(document_id: str, passage: str) -> _ShownDocument:
    """Title, date and statements of a document from its part of an observation."""
    document = _ShownDocument(document_id)
    shown_id = document_id.removeprefix(_WEB_PREFIX)
    heading = re.compile(rf"\({re.escape(shown_id)}((?:, [^()]*)?)\)")
    for line in passage.splitlines():
        quoted = _QUOTED.match(line)
        headed = None if quoted else heading.search(line)
        text = quoted.group(1) if quoted else line
        if headed is not None:
            document.title = document.title or _NUMBER.sub("", line[: headed.start()]).strip()
            document.date_text = document.date_text or headed.group(1).removeprefix(", ")
            text = line[headed.end() :].removeprefix(":").strip()
        for statement in _split_statements(document_id, text, document.title):
            document.statements[statement] = None
    return document


def _split_statements(document_id: str, text: str, title: str) -> list[str]:
    """The lines of a record, the sentences of any other document."""
    lines = split_record_lines(document_id, text, title)
    if lines:
        # The line with the record's own number states nothing of it.
        return [line for line in lines if not line.startswith(_REGISTRY_HEADINGS)]
    return [text[start:end] for start, end in sentence_spans(text)]


# --- what the agent cites --------------------------------------------------------------


def _find_cited(
    reply: str, question: str, documents: dict[str, _ShownDocument]
) -> tuple[list[str], list[str]]:
    """(ids of shown documents, ids of no shown document) that a reply cites, in order. An id that
    only the question gave is not cited."""
    cited: list[str] = []
    unknown: list[str] = []
    for candidates in _list_id_candidates(reply):
        seen = next((candidate for candidate in candidates if candidate in documents), None)
        if seen is not None:
            cited.append(seen)
        elif not any(candidate.rpartition(":")[2] in question for candidate in candidates):
            unknown.append(candidates[0])
    return list(dict.fromkeys(cited)), list(dict.fromkeys(unknown))


def _list_id_candidates(reply: str) -> Iterable[tuple[str, ...]]:
    """For each id in a text, the document ids that it may mean, by place."""
    placed: list[tuple[int, tuple[str, ...]]] = []
    for match in _ADDRESS.finditer(reply):
        address = match.group().rstrip(".")
        placed.append((match.start(), (f"{_WEB_PREFIX}{address}",)))
    text = _ADDRESS.sub(lambda match: " " * len(match.group()), reply)
    for match in _PREFIXED_ID.finditer(text):
        number = match.group(2).rstrip(".:*_'’”")
        if number:
            placed.append((match.start(), (f"{match.group(1)}:{number}",)))
    text = _PREFIXED_ID.sub(lambda match: " " * len(match.group()), text)
    for match in _PMID.finditer(text):
        placed.append((match.start(), (f"PMID:{match.group(1)}",)))
    for match in _NCT_NUMBER.finditer(text):
        placed.append((match.start(), (f"NCT:{match.group()}",)))
    for match in _RECORD_NUMBER.finditer(text):
        number = match.group()
        prefixes = ("FDA", "ORANGE-BOOK") if ":" not in number else ("HPO", "ORPHANET")
        placed.append((match.start(), tuple(f"{prefix}:{number}" for prefix in prefixes)))
    return [candidates for _, candidates in sorted(placed, key=lambda entry: entry[0])]


def _find_mentions(document_id: str, documents: dict[str, _ShownDocument]) -> tuple[str, ...]:
    number = document_id.rpartition(":")[2]
    pattern = re.compile(rf"(?<!\w){re.escape(number)}(?!\w)")
    return tuple(
        document.document_id
        for document in documents.values()
        if any(pattern.search(statement) for statement in document.statements)
    )


# --- what states the answer ------------------------------------------------------------


def _split_answer(trajectory: Trajectory) -> list[str]:
    """The parts of an answer that a line may state: its items where it is a list, a candidate that
    it names where it is sentences; at least one."""
    answer = _PMID.sub("", _PREFIXED_ID.sub("", trajectory.answer or ""))
    answer = _ADDRESS.sub("", answer)
    parts = [" ".join(part.split()).strip(" .[]。") for part in _LIST_BREAK.split(answer)]
    parts = list(dict.fromkeys(part for part in parts if part))
    if any(len(part) > _LONGEST_NAME or len(part.split()) > _most_words(part) for part in parts):
        names = [entry.text for entry in trajectory.hypotheses if entry.kind != ANSWER]
        named = [name for name in find_names(answer, names) if len(name) >= _SHORTEST_NAME]
        return sorted(set(named), key=len, reverse=True)[:1] or [" ".join(answer.split())]
    return parts or [answer.strip()]


def _most_words(part: str) -> int:
    """More words than these are a sentence; the names of trials and companies have many."""
    return 12 if not part.endswith((".", "。")) else 8


def _choose_sources(
    parts: Sequence[str],
    question: str,
    documents: dict[str, _ShownDocument],
    cited_ids: Sequence[str],
) -> list[tuple[_ShownDocument, str, list[str]]]:
    """(document, quote, the parts of the answer that it states) of each source, those that state
    something first, then the rest of what the agent cites."""
    stating: list[tuple[_ShownDocument, str, list[str]]] = []
    for document in documents.values():
        if document.is_about or document.document_id in cited_ids:
            quote, named = _find_quote(document, parts, question)
            if named:
                stating.append((document, quote, named))
    stating.sort(key=lambda source: (source[0].document_id not in cited_ids, -source[0].weight))
    cited = [source for source in stating if source[0].document_id in cited_ids]
    others = [source for source in stating if source[0].document_id not in cited_ids]
    sources = [*cited, *others[:_MAX_CITATIONS]]
    already = {document.document_id for document, _, _ in sources}
    for document_id in cited_ids:
        if document_id not in already:
            document = documents[document_id]
            sources.append((document, _find_quote(document, parts, question)[0], []))
    return sources


def _find_quote(
    document: _ShownDocument, parts: Sequence[str], question: str
) -> tuple[str, list[str]]:
    """(the statement that states most parts of the answer, those parts); without any, the closest
    one. A title that names a part states it, in a record together with the closest line."""
    statements = list(document.statements)
    words = content_words(question)

    def rank(statement: str) -> tuple[int, int]:
        named = _list_stated(document, statement, parts)
        return len(named), len(words & content_words(statement))

    best = max(statements, key=rank, default="")
    named = _list_stated(document, best, parts)
    if not named:
        named = [
            part
            for part in parts
            if _names(document.title, part) and not find_names(question, _list_forms(part))
        ]
        is_paper = bool(named) and document.document_id.startswith(_PAPER_PREFIX)
        # The lines of a record are about its title; a sentence of a paper need not be.
        best = document.title if is_paper or not best else best
    return best, named


def _list_stated(document: _ShownDocument, statement: str, parts: Sequence[str]) -> list[str]:
    lines = read_record_lines(document.document_id, statement, document.title)
    values = [value for line in lines for value in (line.printed, line.name, line.value)]
    return [
        part
        for part in parts
        if _names(statement, part) or any(_is_value(value, part) for value in values)
    ]


def _is_value(value: str, part: str) -> bool:
    return any(answers_match(form, value, ()) for form in _list_forms(part))


def _names(text: str, part: str) -> bool:
    forms = [form for form in _list_forms(part) if len(form) >= _SHORTEST_NAME]
    return part.casefold() not in _NO_STATEMENTS and bool(find_names(text, forms))


def _list_forms(part: str) -> list[str]:
    """The part, and without what explains it in brackets."""
    return list(dict.fromkeys(filter(None, (part, _BRACKETS.sub("", part).strip()))))


# --- the sources ------------------------------------------------------------------------


def _build_citation(
    source: _ShownDocument,
    quote: str,
    states_answer: bool,
    find_document: FindDocument | None,
    editions: Mapping[str, str],
) -> CitedDocument:
    document = find_document(source.document_id) if find_document else None
    if document is not None:
        dated = _RECORD_DATE.search(document.text)
        date_text = f"{_AS_OF}{dated.group(1)}" if dated else document.date_text
        source = replace(source, title=document.title, date_text=date_text or source.date_text)
        quote = _complete_line(quote, document)
    edition = editions.get(source.document_id.partition(":")[0], "")
    date_text = source.date_text or (edition and f"{_AS_OF}{edition}")
    is_record = date_text.startswith(_AS_OF)
    return CitedDocument(
        document_id=source.document_id,
        title=source.title,
        url=document_url(source.document_id),
        as_of=date_text.removeprefix(_AS_OF) if is_record else "",
        published="" if is_record else date_text,
        # A title says nothing beside itself, unless it is what states the answer.
        quote=_shorten(quote) if states_answer or quote != source.title else "",
        states_answer=states_answer,
    )


def _complete_line(quote: str, document: Document) -> str:
    """The whole line or sentence of a quote that a snippet cut."""
    if not quote.endswith(ELLIPSIS):
        return quote
    beginning = quote.removesuffix(ELLIPSIS).rstrip()
    whole = (sentence for sentence in document.sentences if sentence.startswith(beginning))
    return next(whole, quote)


def _shorten(quote: str) -> str:
    if len(quote) <= _QUOTE_CHARS:
        return quote
    return quote[: _QUOTE_CHARS - 1].rpartition(" ")[0] + ELLIPSIS
