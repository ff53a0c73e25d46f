"""A chosen candidate as a Question record: guidance, cheat sheet, entity mapping, answer names."""

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
from medr_ray.knowledge.predicates import PREDICATES, directed
from medr_ray.knowledge.published_reports import is_report
from medr_ray.questions.drafting.answer_names import answer_of
from medr_ray.questions.drafting.plan_candidates import paradigm_of
from medr_ray.questions.drafting.question_paths import Path
from medr_ray.questions.split import Candidate


def placeholder(position: int) -> str:
    """ "Entity_A" for 0, "Entity_B" for 1, …, "Entity_AA" for 26."""
    letters = ""
    position += 1
    while position:
        position, rest = divmod(position - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return f"Entity_{letters}"


def guidance(path: Path, entities: Mapping[str, Entity]) -> tuple[GuidanceStep, ...]:
    """The path's masked triples in walking order, those of a second walk after the first;
    predicates walked backwards are marked ``inverse:``."""
    return tuple(
        GuidanceStep(
            entities[hop.known].entity_type,
            hop.directed_predicate,
            entities[hop.target].entity_type,
            hop.clinical,
            tuple(directed(one.predicate, one.forward) for one in hop.also),
        )
        for hop in (*path.hops, *path.second)
    )


def cheat_sheet(path: Path, entities: Mapping[str, Entity]) -> str:
    """The path's facts over placeholders: what leads where, without a name."""
    named = {one: placeholder(i) for i, one in enumerate(mapped(path))}
    facts = [
        f"{name} is a {entities[one].entity_type}{', where the question starts' * (one in path.starts)}."
        for one, name in named.items()
    ]
    for hop in (*path.hops, *path.second):
        facts.append(
            _stated(hop.predicate, hop.forward, named[hop.known], named[hop.target], hop.clinical)
        )
        facts += [
            _stated(one.predicate, one.forward, named[hop.target], named[one.other], one.clinical)
            for one in hop.also
        ]
    return " ".join((*facts, _asked(path, named)))


def mapped(path: Path) -> tuple[str, ...]:
    """Every entity the question walks to, tells or asks about, each once; those walked first, the
    answer last among these."""
    return tuple(dict.fromkeys((*path.entities, *(clause.other for clause in path.clauses))))


def _stated(predicate: str, forward: bool, known: str, other: str, clinical: str) -> str:
    subject, obj = (known, other) if forward else (other, known)
    sentence = PREDICATES[predicate].state(subject, obj, clinical)
    return f"{sentence[:-1]}, as {clinical}." if is_report(clinical) else sentence


def _asked(path: Path, named: Mapping[str, str]) -> str:
    answer = named[path.answer]
    if path.asked == "entity":
        return f"The answer is {answer}."
    if path.asked == "share":
        return f"The answer is the share of patients with {answer} who show {named[path.about[0].other]}."
    what = (
        "age of onset"
        if path.asked in ("earliest", "latest")
        else f"share with {named[path.about[0].other]}"
    )
    return f"Of all that the last step leads to, {answer} has the {path.asked} {what}: it is the answer."


def assemble(
    chosen: Candidate,
    split: Split,
    entities: Mapping[str, Entity],
    specialties: Mapping[str, str],
    language: Language,
) -> Question:
    """The record of a chosen candidate. Its id follows from language, text and relations."""
    path = chosen.path
    answer = answer_of(path, entities)
    paradigm = paradigm_of(path)
    specialty = specialties.get(path.seed, "unclassified")
    obfuscation = chosen.draft.obfuscation
    task = Task(
        task_id=content_id("q", language, chosen.text, list(path.relations)),
        text=chosen.text,
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
        guidance=guidance(path, entities),
        cheat_sheet=cheat_sheet(path, entities),
        entity_mapping=tuple(
            Placeholder(placeholder(i), one) for i, one in enumerate(mapped(path))
        ),
        verification=chosen.verdict.verification,
        obfuscation=obfuscation,
    )
