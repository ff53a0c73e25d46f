"""Citations of PubMed as facts: what the bibliographic record states beside title and abstract.

Field paths are those of the NLM PubMed DTD, below ``PubmedArticle``. A record without an ISSN may
be a chapter of a book (``PubmedBookArticle``), which has its fields elsewhere: its paths begin with
``//`` and hold for both.
"""

import functools
import re
from collections import Counter
from dataclasses import dataclass, replace

from medr_ray.core.records import Author, Citation
from medr_ray.knowledge.registries.identifiers import (
    make_institution_id,
    make_journal_id,
    make_paper_id,
    make_person_id,
    make_registration_id,
    make_trial_id,
)
from medr_ray.knowledge.registries.literals import make_category, make_text, parse_date
from medr_ray.knowledge.registries.record_facts import FactCollector, RecordFacts

_CORRECTION = "MedlineCitation/CommentsCorrectionsList/CommentsCorrections"
_NUMBERS = "MedlineCitation/Article/DataBankList/DataBank/AccessionNumberList/AccessionNumber"
_JOURNAL = "MedlineCitation/Article/Journal/Title"
# The DOI of the article stands in one of the two, mostly in both.
_DOI = (
    "MedlineCitation/Article/ELocationID[@EIdType='doi'] | "
    "PubmedData/ArticleIdList/ArticleId[@IdType='doi']"
)

# Databanks of NLM's list that register trials. The others hold sequences, structures and data.
TRIAL_REGISTRIES = frozenset(
    (
        *("clinicaltrials.gov", "anzctr", "chictr", "cris", "ctis", "ctri", "drks", "eudract"),
        *("irct", "isrctn", "itmctr", "japiccti", "jmacct", "jprn", "jrct", "kct", "lbctr"),
        *("ntr", "pactr", "rebec", "repec", "rpcec", "slctr", "tctr", "umin ctr", "umin-ctr"),
    )
)
_NCT = re.compile(r"NCT\d{8}", re.ASCII)
_MAIL = re.compile(r"(?:electronic address:?|\be-?mail:?)? ?[^\s;,:()]+@[\w.-]*\w", re.IGNORECASE)


@dataclass(frozen=True)
class _Paths:
    """Where the fields of a record stand that articles and chapters have in other places."""

    year: str
    publication_type: str
    author: str
    grant: str
    doi: str


_ARTICLE_PATHS = _Paths(
    "MedlineCitation/Article/Journal/JournalIssue/PubDate",
    "MedlineCitation/Article/PublicationTypeList/PublicationType",
    "MedlineCitation/Article/AuthorList/Author",
    "MedlineCitation/Article/GrantList/Grant",
    _DOI,
)
_ANY_PATHS = _Paths(
    "//PubDate",
    "//PublicationType",
    "//AuthorList/Author",
    "//GrantList/Grant",
    f"{_DOI} | BookDocument/ArticleIdList/ArticleId[@IdType='doi']",
)


def facts_of_citation(citation: Citation) -> RecordFacts:
    """Journal, year, publication types, authors with their affiliations, trial numbers, grants, DOI
    and retraction links of a citation. Their date is the year of publication: what ages, such as an
    affiliation, was so then. When a later retraction was added, the record does not say."""
    year = "" if citation.year is None else str(citation.year)
    facts = FactCollector("pubmed", citation.pmid, citation.title, year)
    identifiers = {"DOI": citation.doi, "PMCID": citation.pmcid}
    paper = facts.add_entity(
        make_paper_id(citation.pmid),
        "paper",
        citation.title,
        identifiers=tuple(f"{kind}:{text}" for kind, text in identifiers.items() if text),
    )
    paths = _ARTICLE_PATHS if citation.issn else _ANY_PATHS
    _add_journal(facts, paper, citation)
    facts.try_value(paper, "publication_year", parse_date, paths.year, year)
    for publication_type in citation.publication_types:
        name = publication_type.name
        facts.try_value(paper, "publication_type", make_category, paths.publication_type, name)
    _add_authors(facts, paper, citation, paths.author)
    _add_registrations(facts, paper, citation)
    _add_grants(facts, paper, citation, paths.grant)
    facts.try_value(paper, "doi", make_text, paths.doi, citation.doi)
    _add_retractions(facts, paper, citation)
    record = facts.build()
    if all(correction.kind != "RetractionIn" for correction in citation.corrections):
        return record
    undated = tuple(
        replace(fact, as_of="")
        if fact.predicate == "retracted_by" and fact.subject == paper
        else fact
        for fact in record.facts
    )
    return replace(record, facts=undated)


def _add_journal(facts: FactCollector, paper: str, citation: Citation) -> None:
    """The journal by NLM's title, which only one journal has: a journal has an ISSN in print and
    another on line, and a record prints one of them."""
    if not citation.issn or not citation.journal:
        return
    journal = facts.add_entity(
        make_journal_id("", citation.journal),
        "journal",
        citation.journal,
        identifiers=(f"ISSN:{citation.issn}",),
    )
    facts.add_link(paper, "published_in", journal, _JOURNAL, citation.journal)


def _add_authors(facts: FactCollector, paper: str, citation: Citation, path: str) -> None:
    """The persons with their places in the list, and where they worked. A group is no person."""
    owners = Counter(author.orcid for author in citation.authors)
    seen: set[str] = set()
    for position, author in enumerate(citation.authors, 1):
        if author.collective_name:
            group = author.collective_name
            facts.try_value(paper, "group_author", make_text, f"{path}/CollectiveName", group)
            continue
        if not author.name:
            continue
        orcid = author.orcid
        if orcid and (owners[orcid] > 1 or not has_valid_check_digit(orcid)):
            reason = f"no ORCID of one person: {orcid}"
            facts.add_problem(f"{path}/Identifier[@Source='ORCID']", reason)
            orcid = ""
        record = f"{paper}#{position}" if author.name in seen else paper
        seen.add(author.name)
        person = facts.add_entity(
            make_person_id(author.name, record, orcid),
            "person",
            author.name,
            identifiers=(f"ORCID:{orcid}",) if orcid else (),
        )
        facts.add_link(
            paper,
            "has_author",
            person,
            path,
            _print_name(author),
            position=str(position),
            authors=str(len(citation.authors)),
        )
        _add_affiliations(facts, person, author, f"{path}/AffiliationInfo/Affiliation")


def _print_name(author: Author) -> str:
    """The name in the order of the record."""
    return " ".join(filter(None, (author.last_name, author.fore_name, author.suffix)))


def _add_affiliations(facts: FactCollector, person: str, author: Author, path: str) -> None:
    for affiliation in author.affiliations:
        has_mail = "@" in affiliation
        name = (_MAIL.sub("", affiliation) if has_mail else affiliation).strip(" ;,.")
        if name:
            place = facts.add_entity(_make_institution_id(name), "institution", name)
            facts.add_link(person, "affiliation", place, path, affiliation)


# The authors of a paper mostly share their address, and the papers of a piece are neighbours.
_make_institution_id = functools.lru_cache(maxsize=4096)(make_institution_id)


def has_valid_check_digit(orcid: str) -> bool:
    """Whether the last place of an ORCID is the check digit of the others (ISO 7064, MOD 11-2)."""
    total = 0
    for figure in orcid.replace("-", "")[:-1]:
        total = (total + int(figure)) * 2
    check = (12 - total % 11) % 11
    return orcid[-1] == ("X" if check == 10 else str(check))


def _add_registrations(facts: FactCollector, paper: str, citation: Citation) -> None:
    """Trial numbers, and accession numbers in other databanks."""
    for databank in citation.databank_numbers:
        is_registry = databank.name.lower() in TRIAL_REGISTRIES
        for number in databank.numbers:
            if not is_registry:
                facts.try_value(
                    paper,
                    "databank_accession",
                    make_text,
                    _NUMBERS,
                    number,
                    databank=databank.name,
                )
                continue
            compact = "".join(number.split()).upper()
            if _NCT.fullmatch(compact):
                trial_id = make_trial_id(compact)
            elif databank.name.lower() == "clinicaltrials.gov":
                facts.add_problem(_NUMBERS, f"no number of ClinicalTrials.gov: {number[:40]!r}")
                continue
            else:
                trial_id = make_registration_id(databank.name, compact)
            trial = facts.add_entity(trial_id, "trial", compact)
            facts.add_link(paper, "registered_as", trial, _NUMBERS, number, registry=databank.name)


def _add_grants(facts: FactCollector, paper: str, citation: Citation, path: str) -> None:
    """Grants by their number, and agencies that gave one without."""
    for grant in citation.grants:
        field = f"{path}/GrantID" if grant.grant_id else f"{path}/Agency"
        facts.try_value(
            paper,
            "funded_by_grant",
            make_text,
            field,
            grant.grant_id or grant.agency,
            agency=grant.agency,
            country=grant.country,
        )


def _add_retractions(facts: FactCollector, paper: str, citation: Citation) -> None:
    """Which notice retracts which paper, from the record of either."""
    for correction in citation.corrections:
        if not correction.pmid or correction.kind not in ("RetractionIn", "RetractionOf"):
            continue
        other = facts.add_entity(make_paper_id(correction.pmid), "paper")
        is_notice = correction.kind == "RetractionOf"
        retracted, notice = (other, paper) if is_notice else (paper, other)
        field = f"{_CORRECTION}[@RefType='{correction.kind}']/PMID"
        facts.add_link(retracted, "retracted_by", notice, field, correction.pmid)
