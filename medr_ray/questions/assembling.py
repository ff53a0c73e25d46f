"""A chosen candidate as a Question record: guidance, cheat sheet, entity mapping, answer names."""

from collections.abc import Mapping

from medr_ray.core.records import Entity, GuidanceStep, Placeholder, Question, Relation, content_id
from medr_ray.knowledge.predicates import PREDICATES
from medr_ray.questions.paths import Path
from medr_ray.questions.split import Candidate
from medr_ray.questions.verification import answer_names


def placeholder(position: int) -> str:
    """ "Entity_A" for 0, "Entity_B" for 1, …, "Entity_AA" for 26."""
    letters = ""
    position += 1
    while position:
        position, rest = divmod(position - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return f"Entity_{letters}"


def guidance(path: Path, entities: Mapping[str, Entity]) -> tuple[GuidanceStep, ...]:
    """The path's masked triples in walking order; predicates walked backwards are marked ``inverse:``."""
    return tuple(
        GuidanceStep(
            entities[hop.known].entity_type, hop.directed_predicate, entities[hop.target].entity_type, hop.clinical)
        for hop in path.hops
    )


def cheat_sheet(path: Path, entities: Mapping[str, Entity]) -> str:
    """The path's facts over placeholders: what leads where, without a name."""
    named = {one: placeholder(i) for i, one in enumerate(path.entities)}
    kinds = [f"{named[one]} is a {entities[one].entity_type}." for one in path.entities]
    kinds[0] = kinds[0].removesuffix(".") + ", where the question starts."
    facts = []
    for hop in path.hops:
        known, target = named[hop.known], named[hop.target]
        subject, obj = (known, target) if hop.forward else (target, known)
        facts.append(PREDICATES[hop.predicate].state(subject, obj, hop.clinical))
    return " ".join((*kinds, *facts, f"The answer is {named[path.answer]}."))


def assemble(
    chosen: Candidate, split: str, entities: Mapping[str, Entity], relations: Mapping[str, Relation],
    specialties: Mapping[str, str], language: str,
) -> Question:
    """The record of a chosen candidate. Its id follows from language, text and relations."""
    path, answer = chosen.path, entities[chosen.path.answer]
    return Question(
        question_id=content_id("q", language, chosen.text, list(path.relations)),
        text=chosen.text,
        language=language,
        answer=answer.name,
        answer_aliases=tuple(name for name in answer_names(answer) if name != answer.name),
        answer_type=answer.entity_type,
        paradigm="lookup" if len(path.hops) == 1 else "multi_hop",
        complexity=len(path.hops),
        specialty=specialties.get(path.seed, "unclassified"),
        chain_id=path.chain_id,
        seed=path.seed,
        split=split,
        start=path.start,
        relations=path.relations,
        guidance=guidance(path, entities),
        cheat_sheet=cheat_sheet(path, entities),
        entity_mapping=tuple(Placeholder(placeholder(i), one) for i, one in enumerate(path.entities)),
        verification=chosen.verdict.verification,
    )
