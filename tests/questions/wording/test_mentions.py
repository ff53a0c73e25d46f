"""Mentions of entities and values, and the names that are right as an answer."""

import pytest
from support.worded_facts import CATEGORIES, ENTITIES, build_worded_table

from medr_ray.core.records import Language, LiteralValue
from medr_ray.graph.facts.fact_table import FactTable, TableEntity
from medr_ray.graph.facts.registry_relations import make_value_id
from medr_ray.knowledge.hpo import load_hpo
from medr_ray.questions.answer_matching import answers_match
from medr_ray.questions.wording.mentions import Mentions
from medr_ray.questions.wording.value_names import name_term, name_value

TABLE = build_worded_table()
LANGUAGES: tuple[Language, ...] = ("en", "zh")
MENTIONS: dict[Language, Mentions] = {language: Mentions(TABLE, language) for language in LANGUAGES}


def build_mentions(names: dict[str, TableEntity], language: Language = "en") -> Mentions:
    return Mentions(FactTable.build([], names), language)


def accepts(mentions: Mentions, value_id: str, prediction: str) -> bool:
    answer, aliases = mentions.answer_names(value_id)
    return answers_match(prediction, answer, aliases)


# --- words ----------------------------------------------------------------------------

CHINESE_WORDS = {
    "NCT:NCT05246267": "临床试验NCT05246267",
    "DRUGBANK:DB15233": "药物（avapritinib）",
    "OMIM:310600": "疾病（Norrie disease）",
    "COMPANY:pfizer": "公司（Pfizer）",
    "INSTITUTION:boston childrens hospital": "机构（Boston Children's Hospital）",
    "GENE:FGFR3": "FGFR3基因",
    "HP:0000006": "常染色体显性遗传",
    "PMID:19479138": "论文（PMID 19479138）",
    "PMID:34086808": "论文《Placental outcomes of phthalate exposure》",
    "FDA:NDA021234": "申请（NDA 021234）",
    "PATENT:US8048035": "美国第8048035号专利",
    "VALUE:date/2019-08-12": "2019年8月12日",
    "VALUE:date/2019-08": "2019年8月",
    "VALUE:date/2019": "2019年",
    "VALUE:category/STANDARD": "标准审评",
    "VALUE:category/E*": "E*",
    "VALUE:category/PHASE2": "Ⅱ期",
    "VALUE:number/60 participants": "60人",
    "VALUE:number/11 countries": "11个国家和地区",
    "VALUE:number/12 years": "12年",
}


@pytest.mark.parametrize(("value_id", "word"), CHINESE_WORDS.items())
def test_chinese_mentions_have_chinese_nouns_units_and_dates(value_id: str, word: str) -> None:
    assert MENTIONS["zh"].word(value_id) == word


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_mention_is_found_as_what_it_mentions(language: Language) -> None:
    mentions = MENTIONS[language]
    step_types = {"institution": "company", "substance": "drug", "person": "company"}
    for entity_id, entity in ENTITIES.items():
        step_type = step_types.get(entity.entity_type, entity.entity_type)

        assert mentions.find(mentions.word(entity_id), step_type) == [entity_id]
    for category in CATEGORIES:
        value_id = f"VALUE:category/{category}"

        assert mentions.find(mentions.word(value_id), "category") == [value_id]


def test_a_chinese_name_without_its_noun_is_understood_too() -> None:
    assert MENTIONS["zh"].find("avapritinib", "drug") == ["DRUGBANK:DB15233"]


def test_a_name_that_two_companies_share_is_ambiguous() -> None:
    table = {
        "COMPANY:lilly": TableEntity("company", ("Lilly",)),
        "INSTITUTION:lilly": TableEntity("institution", ("Lilly",)),
        "COMPANY:pfizer": TableEntity("company", ("Pfizer",)),
    }
    mentions = build_mentions(table)

    assert mentions.is_ambiguous("COMPANY:lilly", "company")
    assert not mentions.is_ambiguous("COMPANY:pfizer", "company")


def test_a_short_name_is_that_of_the_company_that_goes_by_it() -> None:
    table = {
        "COMPANY:astrazeneca": TableEntity("company", ("AstraZeneca",)),
        "COMPANY:astrazeneca uk": TableEntity("company", ("ASTRAZENECA UK LTD", "ASTRAZENECA")),
    }
    mentions = build_mentions(table)

    assert mentions.find("AstraZeneca", "company") == ["COMPANY:astrazeneca"]
    assert mentions.word("COMPANY:astrazeneca uk") == "AstraZeneca UK"


def test_a_company_and_an_institution_of_one_name_differ_in_chinese_alone() -> None:
    table = {
        "COMPANY:scripps": TableEntity("company", ("Scripps",)),
        "INSTITUTION:scripps": TableEntity("institution", ("Scripps",)),
    }

    assert build_mentions(table).is_ambiguous("COMPANY:scripps", "company")
    assert not build_mentions(table, "zh").is_ambiguous("COMPANY:scripps", "company")


def test_two_papers_of_one_title_are_ambiguous() -> None:
    title = "Response to letter to the editor."
    table = {f"PMID:{number}": TableEntity("paper", (title,)) for number in (1, 2)}

    assert build_mentions(table).is_ambiguous("PMID:1", "paper")


def test_what_no_record_names_is_not_mentioned() -> None:
    assert MENTIONS["en"].is_ambiguous("COMPANY:teva parenteral", "company")


# --- closed sets ----------------------------------------------------------------------


def test_modes_of_inheritance_and_periods_of_onset_have_chinese_names() -> None:
    # The children of "Mode of inheritance" and "Onset" that the curated tables use.
    used = ("HP:0000006", "HP:0000007", "HP:0001417", "HP:0001419", "HP:0001423", "HP:0001427")
    names = {term: name_term(term, (load_hpo().terms[term].name,)).chinese[0] for term in used}

    assert names == {
        "HP:0000006": "常染色体显性遗传",
        "HP:0000007": "常染色体隐性遗传",
        "HP:0001417": "X连锁遗传",
        "HP:0001419": "X连锁隐性遗传",
        "HP:0001423": "X连锁显性遗传",
        "HP:0001427": "线粒体遗传",
    }


@pytest.mark.parametrize(
    ("country", "chinese"),
    [
        ("United States", "美国"),
        ("Korea, Republic of", "韩国"),
        ("Turkey (Türkiye)", "土耳其"),
        ("Taiwan", "中国台湾"),
        ("Czech Republic", "捷克"),
        ("Côte d’Ivoire", "科特迪瓦"),
    ],
)
def test_countries_go_by_the_names_of_the_registry(country: str, chinese: str) -> None:
    value = make_value_id(LiteralValue("category", country))
    assert name_value(value).order("zh")[0] == chinese


# --- answers --------------------------------------------------------------------------

RIGHT = [
    ("VALUE:date/2019-08-12", "2019年8月12日"),
    ("VALUE:date/2019-08-12", "12 August 2019"),
    ("VALUE:date/2019-08-12", "August 12, 2019"),
    ("VALUE:date/2019-08-12", "2019-08-12"),
    ("VALUE:date/2012", "2012年"),
    ("VALUE:date/2012", "2012"),
    ("VALUE:number/12 companies", "12家公司"),
    ("VALUE:number/12 companies", "12"),
    ("VALUE:number/12 companies", "12 companies"),
    ("VALUE:number/60 participants", "60名受试者"),
    ("VALUE:category/E*", "E*"),
    ("VALUE:category/E*", "E*级"),
    ("VALUE:category/E*", "unproven but suspected rare cause"),
    (
        "VALUE:category/E*",
        "E* (unproven but suspected rare cause of clinically apparent liver injury)",
    ),
    ("VALUE:category/E*", "未证实但怀疑可引起肝损伤"),
    ("VALUE:category/A[HD]", "A[HD]"),
    ("VALUE:category/STANDARD", "standard review"),
    ("VALUE:category/STANDARD", "标准审评"),
    ("VALUE:category/PHASE2", "二期"),
    ("VALUE:category/PHASE2", "Phase II"),
    ("VALUE:category/1-9 / 100 000", "1-9/100,000"),
    ("VALUE:category/1-9 / 100 000", "1-9/10万"),
    ("VALUE:category/1-9 / 100 000", "每10万人1-9例"),
    ("HP:0000006", "autosomal dominant"),
    ("HP:0000006", "Autosomal dominant inheritance"),
    ("HP:0000006", "常染色体显性"),
    ("HP:0001419", "X连锁隐性遗传"),
    ("DRUGBANK:DB15233", "Avapritinib"),
    ("COMPANY:pfizer", "Pfizer Inc"),
    ("GENE:FGFR3", "FGFR3基因"),
    ("FDA:NDA021234", "NDA021234"),
    ("FDA:NDA021234", "021234"),
    ("PATENT:US8048035", "US 8,048,035"),
    ("PMID:19479138", "PMID: 19479138"),
]
WRONG = [
    ("VALUE:date/2019-08-12", "2019年8月13日"),
    ("VALUE:date/2019-08-12", "2019年8月"),
    ("VALUE:date/2012", "2013年"),
    ("VALUE:number/12 companies", "12.5"),
    ("VALUE:number/12 companies", "2家公司"),
    ("VALUE:category/E*", "E"),
    ("VALUE:category/E", "E*"),
    ("VALUE:category/E", "unproven but suspected rare cause"),
    ("VALUE:category/E*", "unlikely cause"),
    ("VALUE:category/A", "A[HD]"),
    ("VALUE:category/A[HD]", "A"),
    ("VALUE:category/A[HD]", "well known cause of clinically apparent liver injury"),
    ("VALUE:category/STANDARD", "priority review"),
    ("VALUE:category/STANDARD", "优先审评"),
    ("VALUE:category/PHASE2", "三期"),
    ("VALUE:category/1-9 / 100 000", "1-9 / 1 000 000"),
    ("VALUE:category/1-9 / 100 000", "1-9/100万"),
    ("VALUE:category/1-9 / 100 000", "1-5 / 10 000"),
    ("HP:0000006", "常染色体隐性遗传"),
    ("HP:0001419", "X-linked"),
    ("FDA:NDA021234", "NDA021235"),
    ("PATENT:US8048035", "8048036"),
]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("value_id", "prediction"), RIGHT)
def test_a_right_answer_matches_in_any_form_and_language(
    value_id: str, prediction: str, language: Language
) -> None:
    assert accepts(MENTIONS[language], value_id, prediction)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("value_id", "prediction"), WRONG)
def test_a_neighbour_of_the_answer_does_not_match(
    value_id: str, prediction: str, language: Language
) -> None:
    assert not accepts(MENTIONS[language], value_id, prediction)


def test_the_first_name_of_an_answer_is_in_the_language_of_the_question() -> None:
    assert MENTIONS["zh"].answer_names("VALUE:date/2019-08-12")[0] == "2019年8月12日"
    assert MENTIONS["en"].answer_names("VALUE:date/2019-08-12")[0] == "12 August 2019"
    assert MENTIONS["zh"].answer_names("HP:0000006")[0] == "常染色体显性遗传"
    assert MENTIONS["en"].answer_names("HP:0000006")[0] == "autosomal dominant"
