"""Builds the Question record of a chosen candidate: guidance, cheat sheet, entity mapping."""

from medr_ray.core.records import (
    GuidanceStep,
    Language,
    Placeholder,
    Question,
    QuestionStep,
    Split,
    Task,
    content_id,
    question_metadata,
)
from medr_ray.questions.drafting.candidates import Candidate
from medr_ray.questions.plans import NAMED
from medr_ray.questions.shapes import SHAPES


def placeholder_name(position: int) -> str:
    """ "Entity_A" for 0, "Entity_B" for 1, …, "Entity_AA" for 26."""
    # Bijective base 26: there is no letter for zero, so every digit is shifted by one.
    letters = ""
    position += 1
    while position:
        position, rest = divmod(position - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return f"Entity_{letters}"


def build_guidance(steps: tuple[QuestionStep, ...]) -> tuple[GuidanceStep, ...]:
    """The masked triples of a plan (types instead of names), one for each step and input."""
    return tuple(
        GuidanceStep(steps[place].value_type, step.kind, step.value_type)
        for step in steps
        for place in step.inputs
    )


def build_cheat_sheet(steps: tuple[QuestionStep, ...]) -> str:
    """The steps in sentences, with placeholders instead of names."""
    sentences = []
    for place, step in enumerate(steps):
        name = placeholder_name(place)
        if step.kind == NAMED:
            sentences.append(f"{name} is a {step.value_type}, where the question starts.")
            continue
        givens = " and ".join(placeholder_name(given) for given in step.inputs)
        what = step.kind.replace("_", " ")
        sentences.append(f"{name}, a {step.value_type}, is the {what} for {givens}.")
    sentences.append(f"The answer is {placeholder_name(len(steps) - 1)}.")
    return " ".join(sentences)


def assemble_question(candidate: Candidate, split: Split, language: Language) -> Question:
    """The record of a chosen candidate. Its id depends on language, text and facts alone."""
    shape = SHAPES[candidate.shape]
    is_lookup = candidate.hops == 1
    paradigm = "lookup" if is_lookup else shape.paradigm
    if paradigm == "lookup" and not is_lookup:
        paradigm = "multi_hop"
    task = Task(
        task_id=content_id("q", language, candidate.text, sorted(candidate.facts)),
        text=candidate.text,
        language=language,
        answer=candidate.answer_names[0],
        aliases=candidate.answer_names[1:],
        answer_type=candidate.answer_type,
        metadata=question_metadata(paradigm, candidate.hops, candidate.specialty, candidate.shape),
    )
    return Question(
        task=task,
        shape=candidate.shape,
        skill=shape.skill,
        paradigm=paradigm,
        complexity=candidate.hops,
        specialty=candidate.specialty,
        chain_id=candidate.chain_id,
        seed=candidate.seed,
        split=split,
        sources=candidate.sources,
        steps=candidate.steps,
        guidance=build_guidance(candidate.steps),
        cheat_sheet=build_cheat_sheet(candidate.steps),
        entity_mapping=tuple(
            Placeholder(placeholder_name(place), step.value)
            for place, step in enumerate(candidate.steps)
        ),
        verification=candidate.verification,
    )
