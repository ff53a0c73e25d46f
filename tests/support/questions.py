"""Questions made for tests, with every field a Question needs."""

from dataclasses import replace
from typing import Any

from medr_ray.core.records import (
    GuidanceStep,
    Question,
    QuestionStep,
    Task,
    Verification,
    question_metadata,
)

_INHERITANCE = (GuidanceStep("disease", "inheritance_of_disease", "value"),)
CHECKED = Verification(True, True, True, True, True, True)


def make_question(
    number: int, *, split: str = "heldout", hops: int = 1, answer: str = "Hepatitis B"
) -> Question:
    return Question(
        task=Task(
            task_id=f"q-{number:016x}",
            text=f"What is the name of thing {number}?",
            language="en",
            answer=answer,
            aliases=("HBV infection",),
            answer_type="disease",
            metadata=question_metadata("multi_hop", hops, "hepatology", "disease_to_gene"),
        ),
        shape="disease_to_gene",
        skill="find the disease of a gene",
        paradigm="multi_hop",
        complexity=hops,
        specialty="hepatology",
        chain_id=f"chain-{number}",
        seed=f"OMIM:{number}",
        split=split,
        sources=("hpo", "orphanet"),
        steps=(
            QuestionStep("named", (), f"GENE:G{number}", "gene", f"G{number}"),
            QuestionStep(
                "disease_of_gene", (0,), f"OMIM:{number}", "disease", answer, (f"fact-{number}",)
            ),
        ),
        guidance=(),
        cheat_sheet="",
        entity_mapping=(),
        verification=CHECKED,
    )


def worded_question(
    text: str = "What is the mode of inheritance of Krabbe disease?",
    answer: str = "Autosomal recessive inheritance",
    guidance: tuple[GuidanceStep, ...] = _INHERITANCE,
    aliases: tuple[str, ...] = (),
) -> Question:
    """A question as the grammar words it, with its masked guidance."""
    return Question(
        task=Task(
            task_id="q-1",
            text=text,
            language="en",
            answer=answer,
            aliases=aliases,
            answer_type="value",
            metadata=question_metadata("lookup", len(guidance), "neurology", "disease_record"),
        ),
        shape="disease_record",
        skill="read curated tables on a rare disease",
        paradigm="lookup",
        complexity=len(guidance),
        specialty="neurology",
        chain_id="chain-1",
        seed="OMIM:245200",
        split="train",
        sources=("hpo", "orphanet"),
        steps=(
            QuestionStep("named", (), "OMIM:245200", "disease", "Krabbe disease"),
            QuestionStep(
                "inheritance_of_disease", (0,), "HP:0000007", "value", answer, ("fact-1",)
            ),
        ),
        guidance=guidance,
        cheat_sheet="",
        entity_mapping=(),
        verification=CHECKED,
    )


def worded_task(
    text: str = "What is the mode of inheritance of Krabbe disease?",
    answer: str = "Autosomal recessive inheritance",
    aliases: tuple[str, ...] = (),
) -> Task:
    """The task of a question as the grammar words it."""
    return worded_question(text, answer, aliases=aliases).task


def with_task(question: Question, **changes: Any) -> Question:
    """The question with some fields of its task changed."""
    return replace(question, task=replace(question.task, **changes))
