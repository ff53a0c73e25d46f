"""Lints of a question's text: each seen on what it is for, and silent on what is right."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.reviewed_run import make_reviewed_question

from medr_ray.core.records import Question
from medr_ray.core.run import StageContext
from medr_ray.questions.artifacts import QUESTIONS
from medr_ray.questions.checks.text_lints import (
    LINT_NAMES,
    collect_name_words,
    count_lints,
    find_lints,
    lint_questions,
)
from medr_ray.questions.counts import count_questions
from medr_ray.questions.steps import STEP_KINDS

NAMES = collect_name_words(
    [
        ("Marfan syndrome", "disease"),
        ("Best vitelliform macular dystrophy", "disease"),
        ("Familial Parkinson disease", "disease"),
        ("Renpenning syndrome", "disease"),
        ("Antisynthetase syndrome", "disease"),
        ("Aase syndrome", "disease"),
        ("Infections, Central Nervous System", "disease"),
        ("Abnormality of the central nervous system", "phenotype"),
        ("Recurrent infections of the urinary system", "phenotype"),
        ("Tumor of the nervous system", "disease"),
        ("Omphalocele", "disease"),
        ("Chest", "journal"),
        ("Spondylometaphyseal dysplasia, Kozlowski type", "disease"),
        ("Hyalospine", "text"),
        ("MOTIVATION", "text"),
        ("Type 1 - New Molecular Entity", "category"),
        ("Childhood", "category"),
        ("Omega-3-acid ethyl esters", "drug"),
        ("IOFETAMINE HYDROCHLORIDE", "drug"),
        ("Pfizer Laboratories", "company"),
        ("NOVO NORDISK INC", "company"),
        ("FBN1", "gene"),
    ]
)


def names_of_lints(
    text: str, language: str = "en", hops: int = 2, answer: str = "Fibrillin"
) -> list[str]:
    lints = find_lints(text, language, hops, answer, NAMES)  # type: ignore[arg-type]
    return sorted({lint.name for lint in lints})


@pytest.mark.parametrize(
    ("text", "lints"),
    [
        (" ".join(["Which", *[f"w{number}" for number in range(45)]]) + "?", ["too_long"]),
        ("What is the disease (the one whose onset is early)?", ["leftover"]),
        ("What is the gene of {0}?", ["leftover"]),
        ("What treats [MASK]?", ["leftover"]),
        ("What is the gene of OMIM:154700?", ["leftover"]),
        ("Which gene causes Marfan syndrome (type 1?", ["leftover"]),
        ("Begin with the gene FBN1. What is its disease?", ["stock_opening"]),
        ("Which trial tests it? Take that trial. Who is its sponsor?", ["stock_opening"]),
        ("What is both the gene of Marfan syndrome and the gene of it?", ["both_the"]),
        ("What is found in 3 of 7 patients with Marfan syndrome?", ["bare_share"]),
        ("What do 30-79% of patients with Marfan syndrome have?", ["bare_share"]),
        ("Which sign is seen in 3/7 children with Marfan syndrome?", ["bare_share"]),
        ("Which gene causes Omphalocele?", ["capital"]),
        ("Which gene causes OMPHALOCELE?", ["capital"]),
        ("How common is Antisynthetase syndrome?", ["capital"]),
        ("Which company sells IOFETAMINE HYDROCHLORIDE?", ["capital"]),
        ("Which drug is for Infections of the Nervous System?", ["capital"]),
        ("Which company sells Omega-3-acid ethyl esters?", ["capital"]),
        ("Which of the Drugs at the FDA is it?", ["capital"]),
        ("Which Orange is in the Book?", ["capital"]),
        ("Which disease begins in Childhood?", ["capital"]),
        ("Which gene causes cardiomyopathy, familial hypertrophic 1?", ["inverted_name"]),
        ("Which gene causes hemochromatosis, type 1?", ["inverted_name"]),
        ("Which gene causes mesothelioma, malignant?", ["inverted_name"]),
        ("Which gene causes deafness, aminoglycoside-induced?", ["inverted_name"]),
        ("What is the best drug for Marfan syndrome?", ["superlative"]),
        ("Which is the most effective arm of the trial NCT01234567?", ["superlative"]),
        ("Which gene causes  Marfan syndrome?", ["spacing"]),
        ("Which gene , if any, causes Marfan syndrome??", ["spacing"]),
        ("Which gene causes the the disease?", ["doubled_word"]),
        ("Name the gene of Marfan syndrome.", ["no_question_mark"]),
    ],
)
def test_english_texts_with_a_fault(text: str, lints: list[str]) -> None:
    assert names_of_lints(text) == lints


@pytest.mark.parametrize(
    "text",
    [
        "Which gene causes Marfan syndrome?",
        "How is Renpenning syndrome inherited, and how is Aase syndrome?",
        "Who is the principal investigator of the MOTIVATION trial?",
        "Who is the principal investigator of Hyalospine?",
        "As of 1 July 2019, which drug does Drugs@FDA list under Pfizer Laboratories?",
        "Which does ClinicalTrials.gov name, the Orange Book list, and Orphanet class?",
        "To which drug did the US Food and Drug Administration give Type 1 - New Molecular Entity?",
        "Was Pfizer or Novo Nordisk the first to market a drug for Parkinson’s disease?",
        "As of 1 July 2019, which company holds the FDA application for the drug that trial"
        " NCT01234567 tested in Best vitelliform macular dystrophy?",
        "In the trial NCT01234567, which arm had the most effective response rate?",
        "According to the 2019 report in Chest, which finding had 3 of 7 patients?",
        "What did “The Best Treatment Of The Heart: 3 of 7 patients” report on FBN1?",
        "Which drug did LiverTox give likelihood score B, and in what year was it approved?",
        "As of 8 April 2025, which application, number 12 in the list, was the latest?",
        "How is spondylometaphyseal dysplasia, Kozlowski type, inherited?",
        "Take-home naloxone was tested in which trial?",
        "A patient took it at .5 mg (or 0.25 mg) daily: which drug is it?",
    ],
)
def test_english_texts_that_are_right(text: str) -> None:
    assert names_of_lints(text) == []


@pytest.mark.parametrize(
    ("text", "lints"),
    [
        ("从FBN1出发。取与其相关的疾病。它的遗传方式是什么？", ["stock_opening"]),
        ("13名患者中13名出现血小板增多的疾病的遗传方式是什么？", ["bare_share"]),
        ("30%-79%的患者出现的表现是什么？", ["bare_share"]),
        ("治疗马方综合征的最有效药物是什么？", ["superlative"]),
        ("该疾病的的遗传方式是什么？", ["doubled_word"]),
        ("该疾病的遗传方式是什么", ["no_question_mark"]),
        ("该疾病（{0}）的遗传方式是什么？", ["leftover"]),
        ("该疾病（FBN1的遗传方式是什么？", ["leftover"]),
        ("哪种药物用于治疗" + "很" * 75 + "罕见的疾病？", ["too_long"]),
        ("据HPO注释，13名患者中13名出现血小板增多的疾病是什么？", []),
        ("临床试验NCT01234567中哪一组的缓解率最有效？", []),
        ("与马方综合征（Marfan syndrome）相关的基因是什么？", []),
        ("截至2019年7月1日，哪家公司持有该药（losartan）的首个FDA申请？", []),
    ],
)
def test_chinese_texts(text: str, lints: list[str]) -> None:
    assert names_of_lints(text, "zh") == lints


def test_the_limit_of_a_long_chain_is_higher() -> None:
    text = " ".join(["Which", *[f"w{number}" for number in range(59)]]) + "?"
    assert names_of_lints(text, hops=4) == ["too_long"]
    assert names_of_lints(text, hops=5) == []
    assert names_of_lints(f"more {text} " * 2 + "?", hops=5)[-1] == "too_long"
    # A name in Latin letters counts as a Chinese word of two characters.
    names = "、".join(["losartan"] * 36)
    assert names_of_lints(f"{names}是什么？", "zh", 4) == []
    assert names_of_lints(f"{names}、losartan是什么？", "zh", 4) == ["too_long"]


@pytest.mark.parametrize(
    ("text", "language", "answer", "is_tautology"),
    [
        ("Which finding has every parathyroid carcinoma?", "en", "Parathyroid carcinoma", True),
        ("What is the cause of carcinomas?", "en", "Parathyroid carcinoma", False),
        ("Which company sells Pfizer's drug?", "en", "Pfizer Inc.", True),
        ("Which company was first, Pfizer or Bayer?", "en", "Pfizer Inc.", False),
        ("Which of Pfizer and Bayer was the first?", "en", "Pfizer Inc.", False),
        ("Comparing Pfizer and Bayer, which was the first?", "en", "Pfizer Inc.", False),
        ("In which arm of the trial were more events?", "en", "Arm B (P+T)", False),
        ("In which year was it approved?", "en", "2019", False),
        ("As of 1 July 2019, in which year was it approved?", "en", "2019", False),
        ("How many patents does it have?", "en", "4 patents", False),
        ("Of the 4 patents, how many patents are listed?", "en", "4 patents", True),
        ("Is there an approved drug for it?", "en", "no", False),
        ("甲状旁腺癌患者都有的表现是什么？", "zh", "甲状旁腺癌", True),
        ("马方综合征患者的另一诊断是什么？", "zh", "马方病", True),
        ("甲状旁腺癌还是甲状腺癌更常累及颈部？", "zh", "甲状旁腺癌", False),
        ("药物（gemcitabine）与药物（neratinib），哪一种更早获批？", "zh", "gemcitabine", False),
    ],
)
def test_an_answer_that_the_text_says(
    text: str, language: str, answer: str, is_tautology: bool
) -> None:
    assert ("tautology" in names_of_lints(text, language, answer=answer)) is is_tautology


def test_which_words_are_names() -> None:
    assert {"marfan", "best", "parkinson", "pfizer", "novo", "nordisk", "fbn1"} <= NAMES
    assert not {"omphalocele", "infections", "nervous", "system", "abnormality", "disease"} & NAMES


@pytest.mark.parametrize("name", STEP_KINDS)
def test_no_wording_of_a_step_has_a_capital_but_in_names(name: str) -> None:
    wording = STEP_KINDS[name].english
    for form in (*wording.noun, *wording.statement, *wording.question):
        text = form.format(*["lower"] * len(STEP_KINDS[name].inputs))
        # Behind a word, so that the first is looked at too where a phrase is put into a sentence.
        sentence = f"Then {text[:1].lower() + text[1:]}"
        assert "capital" not in names_of_lints(sentence), form


def test_the_capitals_of_real_questions_are_those_of_names(finished: StageContext) -> None:
    questions = finished.directory.read(QUESTIONS)
    assert len({question.shape for question in questions}) > 12
    assert any("Drugs@FDA" in question.task.text for question in questions)
    assert lint_questions(questions)["capital"] == 0
    headlines = [change_text(question, question.task.text.title()) for question in questions]
    assert lint_questions(headlines)["capital"] == len(questions)


def change_text(question: Question, text: str) -> Question:
    return replace(question, task=replace(question.task, text=text))


def test_a_name_in_one_question_is_none_in_another(finished: StageContext) -> None:
    first, second = finished.directory.read(QUESTIONS)[:2]
    company = replace(first.steps[0], name="Research Products", value_type="company")
    text = "Which drug do Research Products sell?"
    named = replace(change_text(first, text), steps=(company, *first.steps[1:]))
    assert lint_questions([named])["capital"] == 0
    assert lint_questions([named, change_text(second, text)])["capital"] == 1


def test_a_text_counts_once_for_a_lint_and_every_lint_is_listed() -> None:
    findings = [
        find_lints("What is {0} of {1}", "en", 1, "x"),
        find_lints("What is {0}?", "en", 1, "x"),
    ]
    counts = count_lints(findings)
    assert tuple(counts) == LINT_NAMES
    assert {name: count for name, count in counts.items() if count} == {
        "leftover": 2,
        "no_question_mark": 1,
    }


@given(st.text(max_size=300), st.sampled_from(["en", "zh"]), st.text(max_size=40))
def test_any_text_is_linted_and_the_same_twice(text: str, language: str, answer: str) -> None:
    first = find_lints(text, language, 3, answer, NAMES)  # type: ignore[arg-type]
    assert first == find_lints(text, language, 3, answer, NAMES)  # type: ignore[arg-type]
    assert {lint.name for lint in first} <= set(LINT_NAMES)


def test_the_stage_counts_the_lints_of_its_questions() -> None:
    texts = ("Which gene causes Marfan syndrome?", "Begin with Omphalocele. What is its gene")
    questions = [make_reviewed_question(number, text) for number, text in enumerate(texts)]
    lints = count_questions(questions, 2, {}, 0)["lints"]
    assert {name: count for name, count in lints.items() if count} == {
        "stock_opening": 1,
        "capital": 1,
        "no_question_mark": 1,
    }
