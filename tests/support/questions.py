"""Hand-made questions for tests of the rooms above."""

from medr_ray.core.records import GuidanceStep, Question, Verification


def make_question(
    text: str = "What is the mode of inheritance of Krabbe disease?", answer: str = "Autosomal recessive inheritance",
    guidance: tuple[GuidanceStep, ...] = (GuidanceStep("disease", "has_inheritance", "value", ""),),
    question_id: str = "q-1", split: str = "train", aliases: tuple[str, ...] = (),
) -> Question:
    return Question(
        question_id=question_id, text=text, language="en", answer=answer, answer_aliases=aliases, answer_type="value",
        paradigm="lookup", complexity=len(guidance), specialty="neurology", chain_id="chain-1", seed="OMIM:245200",
        split=split, start="OMIM:245200", relations=("rel-1",), guidance=guidance, cheat_sheet="", entity_mapping=(),
        verification=Verification(True, True, True, True), calibration=None)
