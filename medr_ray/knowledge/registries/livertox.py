"""Monographs of LiverTox on the liver toxicity of drugs: typed records, and their facts.

Format: one JSON object a line with ``drug`` (its name), ``sections`` (heading to text, in order)
and ``pmids`` (what its page links to), as read from the book's pages
(https://www.ncbi.nlm.nih.gov/books/NBK547852/). Pages that the book's server refused ("Access
denied") are unusable.

A fact is what the page states in one of the book's fixed phrases, and its evidence is that phrase:

- the likelihood score of a drug (A to E; "*" is unproven but suspected, "[H]" and "[HD]" high
  doses). A score "when used ..." is of a use of the drug, and so are all where a page gives a drug
  several. A score that names another drug is that drug's;
- the year of its approval in the United States, unless it speaks of one use or form. It is that of
  the first approval only where the page calls it so: of the others 40 are two years or more after
  an approval in Drugs@FDA;
- the papers that it cites.

Monographs on classes of drugs give the scores of the drugs they name, and are listed otherwise. The
sections on chemical formulas hold pictures only.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field

from medr_ray.core.errors import DataError
from medr_ray.knowledge.name_normalization import fold_name
from medr_ray.knowledge.registries.identifiers import make_paper_id, make_substance_id
from medr_ray.knowledge.registries.intervention_names import name_substance
from medr_ray.knowledge.registries.literals import make_category, parse_date
from medr_ray.knowledge.registries.record_facts import FactCollector, RecordFacts
from medr_ray.knowledge.registries.record_reading import (
    UnusableRecords,
    read_json_lines,
    validate_leniently,
)

_REFUSED = "Access denied"  # a heading of the page that the book's server shows instead
_UPDATED = re.compile(r"Last Update:\s*(\w+ \d{1,2}, \d{4})")
_PMID = re.compile(r"[1-9]\d{0,7}")
_NUMBER = re.compile(r"\d+")

# --- records ----------------------------------------------------------------------------


class Monograph(BaseModel):
    """``drug`` is the name of a drug or a class of drugs, ``sections`` are texts by heading."""

    drug: str = Field(min_length=1)
    title: str = ""
    sections: dict[str, str]
    pmids: list[str] = []


def parse_monograph(record: Mapping[str, Any]) -> tuple[Monograph, list[tuple[str, str]]]:
    """The monograph of one record, and (field, reason) of what had to be left out of it. DataError
    with the reason where it is none."""
    page, problems = validate_leniently(Monograph, record)
    if _REFUSED in page.sections:
        raise DataError("a page that was refused, no monograph")
    return page, problems


def find_update(page: Monograph) -> str:
    """The date of the last update as printed ("November 4, 2020"), "" where none stands."""
    updated = _UPDATED.search(" ".join(page.sections.values()))
    return updated[1] if updated else ""


def list_cited_papers(page: Monograph) -> list[str]:
    """The PMIDs that the monograph cites, each once: those that its text prints. ``pmids`` also has
    what the book's server lists beside a page as similar."""
    printed = {number for text in page.sections.values() for number in _NUMBER.findall(text)}
    return [pmid for pmid in dict.fromkeys(page.pmids) if pmid in printed]


def is_dated_heading(text: str) -> bool:
    """Whether a section opens with the page's date, and is no text of the monograph."""
    return bool(_UPDATED.match(text))


# --- facts ------------------------------------------------------------------------------

# Plurals are classes ("Fibrates"); these endings are those of single drugs ("Tacrolimus").
_PLURAL = re.compile(r"(?<![uis])s$")
_QUALIFIED_NAME = re.compile(r"(.+?)\s*[(,]\s*([^()]+?)\)?$")
_SCORE = re.compile(
    # Some pages print "Likehood".
    r"[Ll]ike(?:li)?hood [Ss]cores?(?P<label>[^:\n]{0,100}):\s*(?P<score>[A-E](?![A-Za-z])\*?"
    r"(?:\[HD?\])?):?(?P<meaning>\s*\([^()]{0,150}\))?"
)
# Behind a score with its meaning: a second one for another use.
_SECOND_SCORE = re.compile(r"\s*(?:and|or|to) [A-E](?![A-Za-z])\*?(?:\[HD?\])?\s*\(")
_LABEL_SIGNS = " ,([)]"
_USE_LABEL = re.compile(r"(?:when|in|at|with)\b")
# Sections on the drug of the page; any other heading may name another one.
_OWN_SECTIONS = re.compile(
    r"(?:Hepatotoxicity|Background|Intro\w+|Overview|Outcome|Mechanism|Information|Comment)\b",
    re.IGNORECASE,
)
_FOREIGN_SECTIONS = re.compile(
    r"intro$|LiverTox: |PRODUCT INFORMATION|CHEMICAL FORMULA|Case\b|CASE\b|.*BIBLIOGRAPHY|"
    r".*REFERENCES"
)
_SENTENCE_END = re.compile(r"(?<=[\w)\]])\.\s+|\n")
# Behind a drug's name; "" in between, or a few words without a second statement or country.
_APPROVAL = (
    r"(?P<phrase>(?:was|were|received|has received|has been|having been|gained)\b"
    r"(?P<manner>[^.;,:\d]{0,50}?)\bapprov\w*(?P<use>[^.;:\d]{0,120}?)\bin the United States\b"
    r"(?P<detail>[^.;:,\d]{0,60}?)"
    r"\bin (?P<year>(?:19|20)\d\d))(?!\d)"
)
_NOT_THE_SUBJECT = r"(?<!of )(?<!and )(?<!or )(?<!with )(?<!than )(?<!by )(?<!for )(?<!from )"
_NOT_FIRST = re.compile(
    r"\b(?:this|these|that|not|never|restricted|topical|second|subsequent\w*|also|withdraw\w*|new"
    r"|formulations?|form|Europe|Japan|Canada|generic|over-the-counter|pediatric|children)\b"
)
_FIRST = re.compile(r"\b(?:first|initial\w*|originally)\b")


@dataclass(frozen=True)
class _Subject:
    """The substance that a page, a section or a score is on; ``use`` is the use of it that this is
    confined to, such as "Intravenous". ``substance`` is "" for a class of drugs."""

    substance: str
    synonym: str = ""
    use: str = ""


@dataclass(frozen=True)
class _Score:
    """A score as a page states it: of which substance, for which use, and the phrase."""

    substance: str
    use: str
    score: str
    field: str
    phrase: str


def read_livertox_facts(paths: Sequence[str], unusable: UnusableRecords) -> Iterator[RecordFacts]:
    """The facts of each monograph of the files. Refused pages and monographs on classes of drugs
    that state nothing of single ones are listed as unusable."""
    for path in paths:
        for where, record in read_json_lines(path, unusable):
            try:
                yield _collect_facts(record)
            except DataError as error:
                unusable.add_record(path, where, str(error))


def _collect_facts(record: Mapping[str, Any]) -> RecordFacts:
    page, problems = parse_monograph(record)
    updated, update_problem = _parse_update(page)
    facts = FactCollector("livertox", page.drug, page.title or page.drug, updated)
    for field, reason in problems:
        facts.add_problem(field, reason)
    if update_problem:
        facts.add_problem("sections", update_problem)
    subject = _find_subject(page.drug)
    if subject.substance:
        substance = _add_substance(facts, subject.substance, subject.synonym)
        _add_approval(facts, substance, subject, page)
        _add_papers(facts, substance, page)
    _add_scores(facts, subject, page)
    built = facts.build()
    if not built.facts:
        kind = "a drug" if subject.substance else "a class of drugs"
        raise DataError(f"a monograph on {kind} that states no fact")
    return built


def _parse_update(page: Monograph) -> tuple[str, str]:
    """(ISO date of the last update, what is wrong with it), one of them empty."""
    try:
        return parse_date(find_update(page)).text, ""
    except DataError as error:
        return "", str(error)


def _find_subject(name: str) -> _Subject:
    """The substance of a page's name; that of "Diazepam (Intravenous)" is one use of it, that of
    "Chenodiol (Chenodeoxycholic Acid)" has two names."""
    qualified = _QUALIFIED_NAME.fullmatch(name)
    base, remark = qualified.groups() if qualified else (name, "")
    if _PLURAL.search(base) or not name_substance(base):
        return _Subject("")
    if not remark:
        return _Subject(base)
    is_name = fold_name(remark) == fold_name(name_substance(remark)) and " " in remark
    return _Subject(base, synonym=remark) if is_name else _Subject(base, use=remark)


def _add_substance(facts: FactCollector, *names: str) -> str:
    return facts.add_entity(make_substance_id(names[0]), "substance", *names)


def _add_papers(facts: FactCollector, substance: str, page: Monograph) -> None:
    cited = set(list_cited_papers(page))
    for position, pmid in enumerate(page.pmids):
        if not _PMID.fullmatch(pmid):
            facts.add_problem(f"pmids.{position}", f"no PMID: {pmid[:40]!r}")
            continue
        if pmid not in cited:
            continue
        paper = facts.add_entity(make_paper_id(pmid), "paper")
        facts.add_link(substance, "monograph_cites", paper, f"pmids.{position}", pmid)


# --- likelihood scores ------------------------------------------------------------------


def _add_scores(facts: FactCollector, subject: _Subject, page: Monograph) -> None:
    """A drug's only score is a fact about the drug; of several, each is about a use of it."""
    scores = [
        score
        for heading, text in page.sections.items()
        if not _FOREIGN_SECTIONS.match(heading)
        for score in _find_scores(facts, subject, heading, text)
    ]
    for score in dict.fromkeys(scores):
        others = {other.score for other in scores if other.substance == score.substance}
        if len(others) > 1 and not score.use:
            facts.add_problem(score.field, f"several scores of {score.substance}")
            continue
        predicate = "liver_injury_likelihood_in_use" if score.use else "liver_injury_likelihood"
        facts.add_value(
            _add_substance(facts, score.substance),
            predicate,
            make_category(score.score),
            score.field,
            score.phrase,
            use=score.use,
        )


def _find_scores(
    facts: FactCollector, subject: _Subject, heading: str, text: str
) -> Iterator[_Score]:
    """The scores that a section states. What they are of is a problem where it is not plain."""
    field = f"sections.{heading}"
    section_drug = _find_section_drug(subject, heading)
    for match in _SCORE.finditer(text):
        phrase = match.group().strip()
        if _SECOND_SCORE.match(text, match.end()):
            facts.add_problem(field, f"two scores in one: {phrase[:60]!r}")
            continue
        label = match["label"].strip(_LABEL_SIGNS).removeprefix("for ")
        drugs = _list_scored_drugs(label, section_drug) if label else [section_drug]
        scored = [drug for drug in drugs if drug.substance]
        if not scored:
            facts.add_problem(field, f"a score of no single drug: {phrase[:60]!r}")
        for drug in scored:
            yield _Score(drug.substance, drug.use, match["score"], field, phrase)


def _find_section_drug(subject: _Subject, heading: str) -> _Subject:
    """The drug that a section is on: that of the page, or of its heading."""
    is_own = _OWN_SECTIONS.match(heading) or fold_name(heading) == fold_name(subject.substance)
    if is_own:
        return subject
    return _Subject(heading if _is_drug_name(heading) else "")


def _list_scored_drugs(label: str, section_drug: _Subject) -> list[_Subject]:
    """The drugs that stand between "score" and its colon, or the use of the section's drug."""
    names = [name.strip() for name in re.split(r",\s*(?:and\s+)?|\s+and\s+", label)]
    if all(map(_is_drug_name, names)):
        return [_Subject(name) for name in names]
    substance = section_drug.substance
    is_use = bool(_USE_LABEL.match(label)) or _names_word_of(label, substance)
    return [_Subject(substance, use=label)] if is_use else []


def _is_drug_name(name: str) -> bool:
    """Whether it is a drug's name and nothing else, such as a route or a plural."""
    return name_substance(name) == name and not _PLURAL.search(name)


def _names_word_of(label: str, substance: str) -> bool:
    """Whether the label speaks of the substance ("parenteral gold preparations")."""
    return bool(substance) and f" {fold_name(substance)} " in f" {fold_name(label)} "


# --- approval ---------------------------------------------------------------------------


def _add_approval(facts: FactCollector, substance: str, subject: _Subject, page: Monograph) -> None:
    """The year in which the drug was approved, where the page states one such year."""
    if subject.use:
        return
    statements = [
        (f"sections.{heading}", match)
        for heading, text in page.sections.items()
        if _OWN_SECTIONS.match(heading)
        for sentence in _SENTENCE_END.split(text)
        for match in _find_approvals(sentence, subject.substance)
    ]
    # "First approved" decides between several years.
    first = [statement for statement in statements if _FIRST.search(statement[1]["phrase"])]
    statements = first or statements
    years = {match["year"] for _, match in statements}
    if len(years) > 1:
        facts.add_problem(statements[0][0], f"several years of approval: {sorted(years)}")
    if len(years) == 1:
        field, match = statements[0]
        predicate = "first_us_approval_year" if first else "us_approval_year"
        facts.add_value(
            substance, predicate, parse_date(match["year"]), field, match.group().strip()
        )


def _find_approvals(sentence: str, substance: str) -> Iterator[re.Match[str]]:
    """What a sentence says of the substance's approval; not that for a further use or form."""
    pattern = re.compile(
        rf"{_NOT_THE_SUBJECT}\b{re.escape(substance)}\b(?: \([^()]*\))?,? {_APPROVAL}",
        re.IGNORECASE,
    )
    for match in pattern.finditer(sentence):
        if not _NOT_FIRST.search(" ".join(match.group("manner", "use", "detail"))):
            yield match
