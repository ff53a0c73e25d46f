"""What trials name as their conditions although it is no disease or finding: people, behaviour,
procedures, treatments, study designs and measures ("Healthy Volunteers", "Adolescent Behavior",
"Knee Replacement", "Quality of Life")."""

import re

from medr_ray.knowledge.name_normalization import fold_name

_PEOPLE = re.compile(r"\bhealthy|volunteers?\b")
# Folded words that a name is of no disease with, wherever they stand.
_ANYWHERE = re.compile(
    r"\b(?:quality of life|health (?:literacy|status|services|education)"
    r"|standard of care|smoking cessation|life style|self efficacy)\b"
)
# Of people, of what is done, and of how it is studied: last words of a name.
_LAST = re.compile(
    r"\b(?:adherence|adjuvant|adults|anesthesia|aging|attention|behaviors?|biologics|biomarkers?"
    r"|biopsy|bronchoscopy?|cardiology|care|child|children|cognition|compliance|controls?|"
    r"cytokines?"
    r"|desensitization|design|detection|development|diagnosis|diet|education|efficacy|endoscopy"
    r"|gender|genotoxicity|growth|immunity|immunotherapy|infants?|intervention"
    r"|lactation|literacy|management|men|microbio(?:me|ta)|modification|monitoring|newborns?"
    r"|nutrition|oncology|parents|pathophysiology|pediatrics?|perception|pharmacokinetics"
    r"|physiotherapy|pregnancy|premedication|prevention|procedures?|prognosis|psychology"
    r"|rehabilitation|relapse|replacement|resilience|rhythms?|safety|satisfaction|screening"
    r"|students|study|studies|subjects|surgery|surveillance|survival|survivorship|therapy|therapies"
    r"|tolerance|toxicology|training|transcriptome|transplantation|treatment|trial|trials"
    r"|vaccination|vaccines?|volume|women)$"
)
# Although they end so.
_DISEASES = re.compile(
    r"\b(?:abnormal\w*|allerg\w+|anaphyla\w+|asthma\w*|cancer\w*|complications?|deficien\w+|"
    r"delayed|dependence|disabilit\w+"
    r"|disease\w*|disorders?|disturb\w*|ectopic|failure|hypersensitivity|infections?|impair\w*|"
    r"infertility"
    r"|intolerance|leuk(?:a)?emia|pain|poor|restrict\w+|retardation|symptoms?|syndrome\w*|"
    r"tumou?rs?)\b"
)


def is_no_condition(printed_name: str) -> bool:
    """Whether a condition of a trial is plainly none."""
    name = fold_name(printed_name)
    if _PEOPLE.search(name):
        return True
    is_other = _ANYWHERE.search(name) or _LAST.search(name)
    return bool(is_other) and not _DISEASES.search(name)
