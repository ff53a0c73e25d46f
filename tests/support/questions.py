"""Questions made for tests, with every field a Question needs."""

from medr_ray.core.records import Question, Verification


def make_question(number: int, *, split: str = "heldout", hops: int = 1, answer: str = "Hepatitis B") -> Question:
    return Question(
        question_id=f"q-{number:016x}", text=f"What is the name of thing {number}?", language="en", answer=answer,
        answer_aliases=("HBV infection",), answer_type="disease", paradigm="chain", complexity=hops,
        specialty="hepatology",
        chain_id=f"chain-{number}", seed=f"OMIM:{number}", split=split, start=f"OMIM:{number}",
        relations=(f"rel-{number}",), guidance=(), cheat_sheet="", entity_mapping=(),
        verification=Verification(True, True, True, True), calibration=None)
