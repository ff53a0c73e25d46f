"""Features that explain the choice between the medical retriever and the general search (paper
section 2.2, φ(s, q)).

They describe the question and the calls so far, and use only what the agent can know: no answer, no
path, no true number of hops. A feature that cannot be computed is NaN, never a guess.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from medr_ray.agent.transcript import read_turns
from medr_ray.agent.wording import content_words
from medr_ray.core.records import ToolEvent, Trajectory

MEDICAL = "medical_search"
GENERAL = "search"
FEATURES = ("rarity", "hops", "terminology", "calls", "last_medical", "last_failed", "last_empty")
Rarity = Callable[[str], float]

# Words that lead from one thing to the next: "of the gene", "with that disease", "Then take".
_JOINTS = re.compile(
    r"\b(?:of|with|by|for|to|in) (?:the|that|this|which|whose) \w"
    r"|\b(?:whose|next|then|finally)\b|的|然后|接着"
)
_MEDICAL_ENDING = re.compile(
    r"(?:itis|osis|oses|emia|aemia|oma|omas|opathy|pathic|plasia|plastic|trophy|trophic|uria"
    r"|algia|ectomy|otomy|scopy|graphy|plegia|paresis|penia|cyte|cytic|genic|genesis|statin|mab"
    r"|nib|pril|sartan|azole|cillin|mycin|vir|olol|ase|ine|syndrome|disease|disorder|deficiency"
    r"|dystrophy|carcinoma|tumou?r|cancer|infection|inheritance|gene|onset|phenotype|mutation"
    r"|patients?|diagnosis|therapy|treatment)$"
)
_SYMBOL = re.compile(r"^(?=.*\d)(?=.*[a-z])[a-z0-9-]{2,10}$")  # FBN1, IL-6: genes and proteins
_HAN_MEDICAL = re.compile(r"[症病炎瘤癌酶药疗炎型]|基因|综合|遗传|患者")


@dataclass(frozen=True)
class ToolChoice:
    """One call to either tool: the features of the moment it was decided on, and whether it went to
    the medical retriever."""

    question_id: str
    features: tuple[float, ...]
    medical: bool


def extract_features(
    question: str,
    history: Sequence[ToolEvent],
    rarity: Rarity | None = None,
    has_documents: bool = True,
) -> tuple[float, ...]:
    """φ in the order of FEATURES.

    ``rarity`` weighs a word (see ``retrieval.word_rarity``); the rarest word counts.
    ``has_documents``: whether the events have their documents, which rows of an earlier form do
    not.
    """
    words = sorted(content_words(question))
    rarest = max(map(rarity, words), default=math.nan) if rarity else math.nan
    hops = 1 + len(_JOINTS.findall(question.lower()))
    terminology = sum(map(_is_medical, words)) / max(len(words), 1)
    last_medical = False
    last_failed = False
    last_empty = False
    if history:
        last_event = history[-1]
        last_medical = last_event.tool == MEDICAL
        last_failed = last_event.status == "error"
        last_empty = last_event.status == "ok" and not last_event.documents
    return (
        rarest,
        float(hops),
        terminology,
        math.log1p(len(history)),
        float(last_medical),
        float(last_failed),
        float(last_empty) if has_documents else math.nan,
    )


def _is_medical(word: str) -> bool:
    return bool(_MEDICAL_ENDING.search(word) or _SYMBOL.match(word) or _HAN_MEDICAL.search(word))


def read_choices(trajectory: Trajectory, rarity: Rarity | None = None) -> list[ToolChoice]:
    """The choices of a run. Calls of one reply were decided on with the same history."""
    question = trajectory.messages[1].content
    has_documents = not trajectory.documents or any(
        event.documents for event in trajectory.tool_events
    )
    history: list[ToolEvent] = []
    choices: list[ToolChoice] = []
    # Calls of other tools are part of the history, but they are not choices.
    for turn in read_turns(trajectory):
        events = [
            observation.event
            for observation in turn.observations
            if observation.event.status in ("ok", "error")
        ]
        if not events:
            continue
        features = extract_features(question, history, rarity, has_documents)  # before these calls
        for event in events:
            if event.tool in (MEDICAL, GENERAL):
                is_medical = event.tool == MEDICAL
                choices.append(ToolChoice(trajectory.question_id, features, is_medical))
        history += events
    return choices
