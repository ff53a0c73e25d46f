"""What the choice between the medical retriever and the general search is explained by: features of
the question and of the calls so far, from what an agent has at hand (paper section 2.2, φ(s, q)).

What holds: nothing is used that the agent cannot know (no answer, no path, no true number of hops).
A feature that cannot be had is NaN, never a guess.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from medr_ray.agent.transcript import steps_of
from medr_ray.agent.wording import telling_words
from medr_ray.core.records import ToolEvent, Trajectory

MEDICAL, GENERAL = "medical_search", "search"
FEATURES = ("rarity", "hops", "terminology", "calls", "last_medical", "last_failed", "last_empty")
Rarity = Callable[[str], float]

_JOINTS = re.compile(  # what leads from one thing to the next: "of the gene", "with that disease", "Then take"
    r"\b(?:of|with|by|for|to|in) (?:the|that|this|which|whose) \w|\b(?:whose|next|then|finally)\b|的|然后|接着"
)
_MEDICAL_ENDING = re.compile(
    r"(?:itis|osis|oses|emia|aemia|oma|omas|opathy|pathic|plasia|plastic|trophy|trophic|uria|algia|ectomy|otomy|scopy"
    r"|graphy|plegia|paresis|penia|cyte|cytic|genic|genesis|statin|mab|nib|pril|sartan|azole|cillin|mycin|vir|olol"
    r"|ase|ine|syndrome|disease|disorder|deficiency|dystrophy|carcinoma|tumou?r|cancer|infection|inheritance|gene"
    r"|onset|phenotype|mutation|patients?|diagnosis|therapy|treatment)$"
)
_SYMBOL = re.compile(r"^(?=.*\d)(?=.*[a-z])[a-z0-9-]{2,10}$")  # FBN1, IL-6, of a gene or a protein
_HAN_MEDICAL = re.compile(r"[症病炎瘤癌酶药疗炎型]|基因|综合|遗传|患者")


@dataclass(frozen=True)
class Choice:
    """One call to either tool: the features of the moment it was decided on, and whether it went to
    the medical retriever."""

    question_id: str
    features: tuple[float, ...]
    medical: bool


def features_of(
    question: str,
    history: Sequence[ToolEvent],
    rarity: Rarity | None = None,
    told: bool = True,
) -> tuple[float, ...]:
    """φ in the order of FEATURES. ``rarity`` weighs a word (see ``retrieval.word_rarity``); the
    rarest word counts. ``told``: whether the events have their documents, which rows of an earlier
    form do not."""
    words = sorted(telling_words(question))
    last = history[-1] if history else None
    return (
        max(map(rarity, words), default=math.nan) if rarity else math.nan,
        float(1 + len(_JOINTS.findall(question.lower()))),
        sum(map(_is_medical, words)) / max(len(words), 1),
        math.log1p(len(history)),
        float(last is not None and last.tool == MEDICAL),
        float(last is not None and last.status == "error"),
        float(last is not None and last.status == "ok" and not last.documents)
        if told
        else math.nan,
    )


def _is_medical(word: str) -> bool:
    return bool(_MEDICAL_ENDING.search(word) or _SYMBOL.match(word) or _HAN_MEDICAL.search(word))


def choices_of(trajectory: Trajectory, rarity: Rarity | None = None) -> list[Choice]:
    """The choices of a run. Calls beside each other were decided on with the same history."""
    question, history = trajectory.messages[1].content, list[ToolEvent]()
    found = []
    told = not trajectory.documents or any(event.documents for event in trajectory.tool_events)
    for step in steps_of(trajectory):
        events = [one.event for one in step.observed if one.event.status in ("ok", "error")]
        features = features_of(question, history, rarity, told) if events else ()
        found += [
            Choice(trajectory.question_id, features, event.tool == MEDICAL)
            for event in events
            if event.tool in (MEDICAL, GENERAL)
        ]
        history += events
    return found
