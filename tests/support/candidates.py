"""Candidates made for tests: what the picker and the split look at, with a plan of one step."""

from medr_ray.core.records import QuestionStep, Verification
from medr_ray.questions.drafting.candidates import Candidate
from medr_ray.questions.plans import NAMED

CHECKED = Verification(True, True, True, True, True, True)


def make_candidate(
    number: int,
    *,
    shape: str = "trial_record",
    chain: tuple[str, ...] = ("sponsor_of_trial",),
    hops: int = 1,
    answer: str = "",
    specialty: str = "oncology",
    entities: tuple[str, ...] = (),
) -> Candidate:
    """A question about trial ``number``; ``entities`` are companies on its way."""
    trial = f"NCT:NCT{number:08d}"
    answer = answer or f"COMPANY:c{number}"
    named = QuestionStep(NAMED, (), trial, "trial", f"trial {number}")
    on_the_way = [
        QuestionStep("sponsor_of_trial", (0,), entity, "company", entity, (f"fact-{number}-{at}",))
        for at, entity in enumerate(entities)
    ]
    last = QuestionStep(chain[-1], (0,), answer, "company", answer, (f"fact-{number}",))
    return Candidate(
        key=f"plan-{number:04x}",
        shape=shape,
        chain=chain,
        text=f"Who sponsored trial {number}?",
        steps=(named, *on_the_way, last),
        hops=hops,
        sources=("clinical_trials",),
        answer=answer,
        answer_names=(answer,),
        answer_type="company",
        specialty=specialty,
        seed=trial,
        chain_id="",
        verification=CHECKED,
    )
