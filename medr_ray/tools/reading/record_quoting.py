"""The lines of a record that a goal asks for, every one of them before anything else.

A record has a fact a line, under the name of a field ("country: Belgium"). What an agent asks of it
is often the whole of a field: how many countries, which patent ends last. So the field is found
first, by its name, its predicate and the words that people use for it; all its lines are shown,
those that share most with the rest of the goal first. What is left of the room goes to other fields
and lines that the goal speaks of. Where lines of the field do not fit, their number is said.
"""

import itertools
import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from medr_ray.core.config import ReadConfig
from medr_ray.retrieval.record_lines import join_values, read_record_lines
from medr_ray.retrieval.snippets import is_stop_word, split_words, truncate

_STEM_LETTERS = 5  # "inher", "preva", "mutat"
# What people call what a line states, beside the words of its field and its predicate.
_OTHER_WORDS: Mapping[str, str] = {
    "active_ingredient": "drug substance strength",
    "adverse_event": "side effect",
    "age_of_death": "die",
    "application_sponsor": "applicant company holder",
    "associated_gene": "cause mutation variant",
    "cites_paper": "article publication reference",
    "collaborator": "partner company",
    "enrolment": "participant patient people size",
    "exclusivity_end_date": "end expiry",
    "has_finding": "symptom sign phenotype feature abnormality frequency",
    "has_incidence": "frequency epidemiology",
    "has_inheritance": "mode hereditary transmitted",
    "has_onset": "age period life begin start appear",
    "has_prevalence": "frequency epidemiology rare common",
    "has_product": "strength",
    "lead_sponsor": "company institution",
    "liver_injury_likelihood": "score hepatotoxicity toxicity",
    "liver_injury_likelihood_in_use": "score hepatotoxicity toxicity",
    "marketing_status": "discontinued prescription",
    "monograph_cites": "article publication reference",
    "original_approval_date": "approved year",
    "other_intervention": "treatment procedure",
    "overall_official": "investigator chair director",
    "overall_status": "recruitment",
    "patent_claim": "claim",
    "patent_expiry_date": "end expiration expire",
    "primary_outcome": "endpoint",
    "product_approval_date": "approved year",
    "product_applicant": "company holder sponsor",
    "reports_results_in": "article publication result",
    "serious_adverse_events": "side effect arm event",
    "studies_condition": "disease disorder indication",
    "studies_intervention": "drug treatment substance",
    "submission_class": "type new molecular entity",
    "trade_name": "brand product",
    "trial_arm": "group",
    "trial_country": "where nation",
    "trial_phase": "stage",
    "trial_site": "location hospital city where",
    "us_approval_year": "approved approval date",
}


@dataclass(frozen=True)
class RecordQuotes:
    """Joined lines of a record. Of the ``line_count`` lines of ``field``, which the goal asks for,
    ``left_out`` had no room; without a ``field`` all that was asked for is there."""

    quotes: tuple[str, ...] = ()
    field: str = ""
    line_count: int = 0
    left_out: int = 0


@dataclass(frozen=True)
class _Field:
    """The lines of a field in the order of the record, and the words that it goes by."""

    name: str
    lines: tuple[str, ...]
    words: frozenset[str]


def quote_record(
    goal: str, document_id: str, text: str, chars: int, limits: ReadConfig
) -> RecordQuotes:
    """At most ``limits.quotes`` quotes of at most ``chars`` characters together; none where no line
    has to do with the goal. Fields that are not asked for have ``limits.quote_chars`` at most."""
    title, *lines = text.splitlines()
    words = _find_goal_words(goal, f"{title} {document_id}")
    ranked = _rank_fields(words, _group_fields(document_id, lines))
    if not ranked:
        # The goal names no field: what it names are values.
        return RecordQuotes(_quote_lines(_find_lines(words, lines), chars, limits.quotes))
    asked_fields = _choose_asked(goal, ranked)
    others = [field for field in ranked if field not in asked_fields]
    quotes: list[str] = []
    cut = RecordQuotes()
    room = chars
    for field in [*asked_fields, *others][: limits.quotes]:
        ordered = _order_lines(words - field.words, field.lines)
        fitting = _count_fitting(
            ordered, room if field in asked_fields else min(room, limits.quote_chars)
        )
        quote = " ".join(join_values(ordered[:fitting]))
        if field in asked_fields:
            left_out = len(ordered) - fitting
            # Where several fields are asked for, the last that is cut.
            cut = RecordQuotes((), field.name, len(ordered), left_out) if left_out else cut
            # A single line may be longer than the room.
            quote = quote or ("" if quotes else truncate(ordered[0], room))
        if quote:
            quotes.append(quote)
            room -= len(quote)
    return replace(cut, quotes=tuple(quotes))


def asks_for_field(question: str, document_id: str, line: str) -> bool:
    """Whether a question has one of the words that the field of a record's line goes by, or one of
    their stem: "inherited" asks for the inheritance."""
    words = _find_field_words(line.partition(": ")[0], document_id, [line])
    stems = {word[:_STEM_LETTERS] for word in words}
    return any(word[:_STEM_LETTERS] in stems for word in _fold_words(question))


def _choose_asked(goal: str, ranked: Sequence[_Field]) -> list[_Field]:
    """The fields that the goal names in their own words, the shortest first, so that a long one
    takes the room of no other; without any, the field that it names best."""
    # The field of a date as it is printed: "patent expire date text".
    named = [field for field in ranked if field.name.removesuffix(" text") in goal]
    return sorted(named, key=lambda field: sum(map(len, field.lines))) or [ranked[0]]


def _find_goal_words(goal: str, about: str) -> frozenset[str]:
    """The words of the goal beside those that name the record itself, unless it has no others."""
    words = _fold_words(goal)
    return words - _fold_words(about) or words


def _fold_words(text: str) -> frozenset[str]:
    """The words of a text but stop words, in the singular."""
    words = (word for word in split_words(text) if not is_stop_word(word))
    return frozenset(map(_make_singular, words))


def _make_singular(word: str) -> str:
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def _group_fields(document_id: str, lines: Iterable[str]) -> list[_Field]:
    """The fields of a record in the order of their first lines."""
    lines_by_field: dict[str, list[str]] = {}
    for line in lines:
        field, separator, _ = line.partition(": ")
        if separator:
            lines_by_field.setdefault(field, []).append(line)
    return [
        _Field(field, tuple(of_field), _find_field_words(field, document_id, of_field))
        for field, of_field in lines_by_field.items()
    ]


def _find_field_words(field: str, document_id: str, lines: Sequence[str]) -> frozenset[str]:
    texts = [field]
    for line in lines:
        for stated in read_record_lines(document_id, line):
            texts += [stated.predicate.replace("_", " "), _OTHER_WORDS.get(stated.predicate, "")]
    return _fold_words(" ".join(dict.fromkeys(texts)))


def _rank_fields(words: frozenset[str], fields: Sequence[_Field]) -> list[_Field]:
    """The fields that the goal names, that which it names best first."""
    weights = _weigh_words([field.words for field in fields])

    def rank(field: _Field) -> tuple[float, float]:
        # Of equal ones first that with fewer other words: "patent" is "patent no" rather than
        # "patent expire date text".
        named = words & field.words
        return math.fsum(weights[word] for word in named), len(named) / len(field.words)

    named_fields = [field for field in fields if words & field.words]
    return sorted(named_fields, key=rank, reverse=True)


def _weigh_words(texts: Sequence[Collection[str]]) -> dict[str, float]:
    """The weight of each word: inverse document frequency, with these texts as the documents."""
    counts = Counter(itertools.chain.from_iterable(texts))
    return {word: math.log(1 + len(texts) / count) for word, count in counts.items()}


def _order_lines(words: frozenset[str], lines: Sequence[str]) -> list[str]:
    """The lines, those that share most with these words first, equal ones in their order."""
    texts = [_fold_words(line) for line in lines]
    weights = _weigh_words(texts)
    shares = [math.fsum(weights[word] for word in words & text) for text in texts]
    places = sorted(range(len(lines)), key=lambda place: -shares[place])
    return [lines[place] for place in places]


def _find_lines(words: frozenset[str], lines: Sequence[str]) -> list[str]:
    """The lines that share a word with these, the best first."""
    return [line for line in _order_lines(words, lines) if words & _fold_words(line)]


def _quote_lines(lines: Sequence[str], chars: int, count: int) -> tuple[str, ...]:
    """A quote for each of the first lines that fit; of a first line that is too long, a part."""
    quotes: list[str] = []
    room = chars
    for line in lines[:count]:
        room -= len(line)
        if room < 0:
            break
        quotes.append(line)
    return tuple(quotes) or tuple(truncate(line, chars) for line in lines[:1])


def _count_fitting(lines: Sequence[str], chars: int) -> int:
    """How many of the first lines have at most ``chars`` characters when they are joined."""
    # More lines are never shorter.
    fitting, too_many = 0, len(lines) + 1
    while too_many - fitting > 1:
        middle = (fitting + too_many) // 2
        if len(" ".join(join_values(lines[:middle]))) <= chars:
            fitting = middle
        else:
            too_many = middle
    return fitting
