"""Builds the Question record of a chosen candidate: its guidance, cheat sheet, entity mapping and
answer names."""

from collections.abc import Mapping

from medr_ray.core.records import (
    Entity,
    GuidanceStep,
    Language,
    Placeholder,
    Question,
    Split,
    Task,
    content_id,
    question_metadata,
)
from medr_ray.knowledge.predicates import PREDICATES, directed_name
from medr_ray.knowledge.published_reports import is_report
from medr_ray.questions.drafting.answer_names import resolve_answer
from medr_ray.questions.drafting.plan_candidates import classify_paradigm
from medr_ray.questions.drafting.question_paths import QuestionPath
from medr_ray.questions.split import Candidate


def placeholder_name(position: int) -> str:
    """ "Entity_A" for 0, "Entity_B" for 1, …, "Entity_AA" for 26."""
    # Bijective base 26: there is no letter for zero, so every digit is shifted by one.
    letters = ""
    position += 1
    while position:
        position, rest = divmod(position - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return f"Entity_{letters}"


def build_guidance(path: QuestionPath, entities: Mapping[str, Entity]) -> tuple[GuidanceStep, ...]:
    """The path's masked triples (types instead of names) in walking order.

    Those of a second walk come after the first. Predicates that are followed backwards are marked
    ``inverse:``.
    """
    return tuple(
        GuidanceStep(
            entities[hop.start].entity_type,
            hop.directed_predicate,
            entities[hop.target].entity_type,
            hop.clinical,
            tuple(directed_name(clause.predicate, clause.forward) for clause in hop.also),
        )
        for hop in (*path.hops, *path.second)
    )


def build_cheat_sheet(path: QuestionPath, entities: Mapping[str, Entity]) -> str:
    """The path's facts in sentences, with placeholders instead of names."""
    # The same names as in the question's entity mapping, which lists the entities in this order.
    placeholders = {
        entity_id: placeholder_name(position)
        for position, entity_id in enumerate(list_placed_entities(path))
    }
    facts = []
    for entity_id, name in placeholders.items():
        addition = ", where the question starts" if entity_id in path.starts else ""
        facts.append(f"{name} is a {entities[entity_id].entity_type}{addition}.")
    for hop in (*path.hops, *path.second):
        facts.append(
            _state_fact(
                hop.predicate,
                hop.forward,
                placeholders[hop.start],
                placeholders[hop.target],
                hop.clinical,
            )
        )
        facts += [
            _state_fact(
                clause.predicate,
                clause.forward,
                placeholders[hop.target],
                placeholders[clause.other],
                clause.clinical,
            )
            for clause in hop.also
        ]
    return " ".join((*facts, _state_answer(path, placeholders)))


def list_placed_entities(path: QuestionPath) -> tuple[str, ...]:
    """Every entity of the question, each once, in the order of their placeholders.

    The entities of the walk come first, in walking order; then those that its clauses name.
    """
    return tuple(dict.fromkeys((*path.entities, *(clause.other for clause in path.clauses))))


def _state_fact(predicate: str, forward: bool, source: str, target: str, clinical: str) -> str:
    """A sentence for the fact, whichever way it is walked."""
    subject, obj = (source, target) if forward else (target, source)
    sentence = PREDICATES[predicate].render_sentence(subject, obj, clinical)
    # A report is not part of the predicate's sentence: it is added before the full stop.
    return f"{sentence[:-1]}, as {clinical}." if is_report(clinical) else sentence


def _state_answer(path: QuestionPath, placeholders: Mapping[str, str]) -> str:
    """The last sentence: which entity or value is the answer."""
    answer = placeholders[path.answer]
    if path.asked == "entity":
        return f"The answer is {answer}."
    if path.asked == "share":
        return (
            f"The answer is the share of patients with {answer} "
            f"who show {placeholders[path.about[0].other]}."
        )
    compared_value = (
        "age of onset"
        if path.asked in ("earliest", "latest")
        else f"share with {placeholders[path.about[0].other]}"
    )
    return (
        f"Of all that the last step leads to, {answer} has the {path.asked} "
        f"{compared_value}: it is the answer."
    )


def assemble_question(
    candidate: Candidate,
    split: Split,
    entities: Mapping[str, Entity],
    specialties: Mapping[str, str],
    language: Language,
) -> Question:
    """The record of a chosen candidate. Its id depends on language, text and relations alone."""
    path = candidate.path
    answer = resolve_answer(path, entities)
    paradigm = classify_paradigm(path)
    specialty = specialties.get(path.seed, "unclassified")
    obfuscation = candidate.draft.obfuscation
    task = Task(
        task_id=content_id("q", language, candidate.text, list(path.relations)),
        text=candidate.text,
        language=language,
        answer=answer.name,
        aliases=answer.aliases,
        answer_type=answer.answer_type,
        metadata=question_metadata(paradigm, path.complexity, specialty, obfuscation),
    )
    return Question(
        task=task,
        paradigm=paradigm,
        complexity=path.complexity,
        specialty=specialty,
        chain_id=path.chain_id,
        seed=path.seed,
        split=split,
        start=path.start,
        relations=path.relations,
        guidance=build_guidance(path, entities),
        cheat_sheet=build_cheat_sheet(path, entities),
        entity_mapping=tuple(
            Placeholder(placeholder_name(position), entity_id)
            for position, entity_id in enumerate(list_placed_entities(path))
        ),
        verification=candidate.verdict.verification,
        obfuscation=obfuscation,
    )
