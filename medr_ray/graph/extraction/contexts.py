"""The context in which a document states a relation: when, where, in whom or in what, and how.

``clinical`` is a list of parts joined by "; ". Parts that begin with "in" restrict what the
relation is true of: a species or model ("in rats"), a cell line, a population, a genotype, a stage
("in advanced disease"). The others describe the treatment or the study and restrict nothing: a dose
("at 10 mg/kg"), the line of treatment ("as second-line treatment"), what was given with a drug
("with prednisolone"), a comparator ("versus placebo"), a trial ("trial NCT00000001").
``knowledge.qualifiers.find_restriction`` tells them apart.

All of it comes from the sentence itself, but for what a document says once: the species of an
experiment without patients, that of an animal whose case it is, and the number of its only trial.
"""

import re
from collections.abc import Sequence

from medr_ray.graph.extraction.mention_meaning import DISEASES
from medr_ray.graph.extraction.sentences import Sentence
from medr_ray.graph.extraction.treatments import (
    TREATMENTS,
    describe_treatment,
    list_trial_numbers,
)
from medr_ray.retrieval.snippets import Span

_YEAR = r"(?:1[89]|20)\d\d"
_TIME = re.compile(
    rf"\b(?:between|from) {_YEAR} (?:and|to) {_YEAR}|"
    rf"\b(?:in|since|during|by|before|after) {_YEAR}(?:\s?[-–]\s?{_YEAR})?\b"
)
_COUNTRIES = (
    "Argentina",
    "Australia",
    "Austria",
    "Bangladesh",
    "Belgium",
    "Brazil",
    "Cameroon",
    "Canada",
    "Chile",
    "China",
    "Colombia",
    "Cuba",
    "Denmark",
    "Egypt",
    "England",
    "Ethiopia",
    "Finland",
    "France",
    "Germany",
    "Ghana",
    "Greece",
    "Hong Kong",
    "Hungary",
    "Iceland",
    "India",
    "Indonesia",
    "Iran",
    "Iraq",
    "Ireland",
    "Israel",
    "Italy",
    "Jamaica",
    "Japan",
    "Kenya",
    "Korea",
    "Kuwait",
    "Lebanon",
    "Malaysia",
    "Mexico",
    "Morocco",
    "Nepal",
    "Netherlands",
    "New Zealand",
    "Nigeria",
    "Norway",
    "Pakistan",
    "Peru",
    "Philippines",
    "Poland",
    "Portugal",
    "Qatar",
    "Romania",
    "Russia",
    "Saudi Arabia",
    "Scotland",
    "Serbia",
    "Singapore",
    "South Africa",
    "South Korea",
    "Spain",
    "Sri Lanka",
    "Sudan",
    "Sweden",
    "Switzerland",
    "Taiwan",
    "Tanzania",
    "Thailand",
    "Tunisia",
    "Turkey",
    "Uganda",
    "United Kingdom",
    "United States",
    "Venezuela",
    "Vietnam",
    "Wales",
    "Zambia",
    "Zimbabwe",
    "Africa",
    "Asia",
    "Europe",
    "Latin America",
    "North America",
)
# Whose name an adjective has: "Egyptian women" are in Egypt.
_COUNTRY_OF_ADJECTIVE = {
    "American": "United States",
    "Australian": "Australia",
    "Brazilian": "Brazil",
    "British": "United Kingdom",
    "Canadian": "Canada",
    "Chinese": "China",
    "Danish": "Denmark",
    "Dutch": "Netherlands",
    "Egyptian": "Egypt",
    "Finnish": "Finland",
    "French": "France",
    "German": "Germany",
    "Greek": "Greece",
    "Indian": "India",
    "Iranian": "Iran",
    "Israeli": "Israel",
    "Italian": "Italy",
    "Japanese": "Japan",
    "Korean": "Korea",
    "Mexican": "Mexico",
    "Norwegian": "Norway",
    "Pakistani": "Pakistan",
    "Polish": "Poland",
    "Spanish": "Spain",
    "Swedish": "Sweden",
    "Swiss": "Switzerland",
    "Taiwanese": "Taiwan",
    "Thai": "Thailand",
    "Turkish": "Turkey",
}
# The longest first, so that "South Korea" is not read as "Korea".
_PLACE_NAMES = "|".join(sorted(_COUNTRIES, key=len, reverse=True))
_PEOPLE = (
    "(?:children|adults|infants|neonates|newborns|adolescents|women|men|patients|girls|boys|"
    "subjects|individuals|volunteers|population|cohort|famil(?:y|ies)|people)"
)
_PLACE = re.compile(
    rf"\b(?:in|from|across|within) (?:the )?((?:northern |southern |eastern |western |central )?"
    rf"(?:{_PLACE_NAMES}))\b|"
    rf"\b({'|'.join(_COUNTRY_OF_ADJECTIVE)}) (?:\w+ )?{_PEOPLE}\b"
)
_GROUP = re.compile(
    r"\b(?:in|among|of) (?:\d+ |most |many |some |all |the )?"
    rf"(?:(?:{'|'.join(_COUNTRY_OF_ADJECTIVE)}) )?((?:(?:elderly|older|adult|pediatric|"
    r"paediatric|pregnant|newborn|premature|preterm|young|postmenopausal|immunocompromised|"
    r"critically ill|hospitali[sz]ed|diabetic|healthy|h[a]?emodialysis|ambulatory) )*"
    rf"{_PEOPLE}(?: and (?:children|adults|adolescents|infants|women|men|girls|boys))?)\b",
    re.IGNORECASE,
)
# A group that is named after its condition: "in aspirin-sensitive asthmatics".
_GROUP_BY_CONDITION = re.compile(
    r"\b(?:in|among|of) ((?:[\w-]+ )?(?:asthmatics|diabetics|smokers|alcoholics|"
    r"hypertensives|ha?emophiliacs|epileptics))\b(?! and)",
    re.IGNORECASE,
)
# "Only in grade II or p53 wild-type patients".
_ONLY_GROUP = re.compile(
    rf"\bonly (?:in|among|for) ((?:[\w/+-]+,? ){{1,12}}?{_PEOPLE})\b", re.IGNORECASE
)
# Groups that say nothing about who they are.
_UNSPECIFIC_GROUPS = frozenset(
    {"patients", "subjects", "individuals", "people", "population", "cohort", "family", "families"}
)
# A group with another disease than the relation is about: "in patients with diabetes".
_COMORBID = re.compile(
    rf"\b(?:in|among) (?:\w+ )?({_PEOPLE} with (?!previously|newly)[\w' -]{{3,60}}?)"
    r"(?=[,.;:()\[]|$| (?:who|that|at|after|treated|receiving|undergoing|on|by|was|were|is|are|"
    r"had|has|have|showed|using|during|following|compared|versus|than|to|without)\b)",
    re.IGNORECASE,
)
_REFERENCE = re.compile(r"\bwith (?:the|this|these|that|such|an?|no|or|and)\b", re.IGNORECASE)
_SPECIES_NOUN = (
    "(?:rats|mice|rabbits|dogs|cats|guinea[- ]pigs|hamsters|monkeys|macaques|baboons|pigs|piglets|"
    "swine|sheep|lambs|goats|cattle|cows|calves|horses|chickens|chicks|broilers|zebrafish|"
    "Drosophila|gerbils|ferrets|quail|ducks|frogs|squirrel monkeys|marmosets|fish|fishes|carp|"
    "trout|salmon|tilapia|larvae|hens|pullets|heifers|ewes|mares|sows|cocks|shrimp|crayfish)"
)
_SPECIES_OF_WORD = {
    "rat": "rats",
    "mouse": "mice",
    "murine": "mice",
    "rabbit": "rabbits",
    "dog": "dogs",
    "canine": "dogs",
    "cat": "cats",
    "feline": "cats",
    "pig": "pigs",
    "porcine": "pigs",
    "bovine": "cattle",
    "equine": "horses",
    "ovine": "sheep",
    "hamster": "hamsters",
    "guinea pig": "guinea pigs",
    "monkey": "monkeys",
    "avian": "birds",
    "chick": "chicks",
}
_SPECIES_WORDS = "|".join(word.replace(" ", "[- ]") for word in _SPECIES_OF_WORD)
# What is named after an animal, or only comes from one.
_NOT_STUDIED = (
    r"(?:(?:anti-?)?\w*(?:mono|poly)?clonal|antibod|anti-|IgG|sera?\b|serum|bites?\b|scratch|"
    r"allerg|dander|exposure|contact|owner|(?:mammary tumou?r |leuk\w+ |sarcoma )?(?:retro|entero|"
    r"cytomegalo|corona|parvo|papilloma|pox|herpes)?virus|typhus|poison|lungworm|tapeworm|"
    r"sarcoma|reticulocyte|insulin|heparin|thrombin|albumin|pancrea|trypsin|valve|graft|"
    r"bioprosthe|pericardi|eye\b)"
)
_SPECIES = re.compile(
    rf"\b({_SPECIES_NOUN})\b(?!['’]? (?:{_NOT_STUDIED}))|"
    rf"\b({_SPECIES_WORDS})\b(?![- ]{_NOT_STUDIED})(?=[- ]\w|\W*$)",
    re.IGNORECASE,
)
# A sick animal in a title: "cryptococcosis in a patas monkey".
_CASE_IN_ANIMAL = re.compile(
    rf"\bin (?:an?|one|two|three|four|five|\d+) ((?:[\w-]+ ){{0,3}}(?:{_SPECIES_NOUN}|"
    rf"{_SPECIES_WORDS}))(?=\W*$|[.:,]| \()",
    re.IGNORECASE,
)
_ANIMAL_MODEL = re.compile(
    r"\b(?:animal (?:models?|stud(?:y|ies))|experimental animals|animals|"
    r"experimental(?:ly induced)? (?:[\w-]+ ){0,2}models?|in vivo model)\b",
    re.IGNORECASE,
)
_XENOGRAFT = re.compile(r"\b(?:xenograft|xenotransplant)\w*\b", re.IGNORECASE)
# Predicates that say what a disease is: a document about rats says it of patients.
_OF_THE_DISEASE = frozenset({"presents_with", "subtype_of"})
_IN_VITRO = re.compile(
    r"\bin vitro\b(?! (?:screening |susceptib\w+ |sensitiv\w+ )?(?:test\b(?! system)|assay|"
    r"diagnos|evidence|stud|data|findings?))|"
    r"\b(?:in|of|using|on) (?:(?:primary|human|cultured|isolated) )+(?:\w+ ){0,2}"
    r"(?:cultures?|\w+cytes|\w+blasts|neurons|slices|cells)\b",
    re.IGNORECASE,
)
# "HepG2 cells", but not "CD4 cells" or "Th17 cells", which patients have.
_CELL_LINE = re.compile(
    r"\b((?!CD\d|Th\d|NK\b|B\d\b|H&E|COVID|SARS)[A-Z][A-Za-z]*-?\d+[A-Za-z0-9/-]*"
    r"(?: (?:human|mouse|murine|rat|lung|breast|colon|liver|kidney|cardiac|proximal|tub\w+|muscle|"
    r"cancer|tumou?r|\w+oma|leuk\w+|epithelial|endothelial|granulosa|neuronal|microglial)){0,4} "
    r"cells|(?!(?:and|or|the|in|of|two|three|both|these|this|a|an|several|different|human|various|"
    r"other|all|with)\b)[\w-]+ cell lines?)\b"
)
_CELLS = re.compile(
    r"\b(?:in|of|by|from|against|on) (?:the |these |human |cultured )*((?:[\w-]+ )?(?:cancer|"
    r"carcinoma|tumou?r|leuka?emia|lymphoma|melanoma|myeloma|glioma|hepatoma|sarcoma|"
    r"neuroblastoma|adenocarcinoma|glioblastoma|HeLa|HUVEC|endothelial|epithelial|Vero|CHO|HEK) "
    r"cells)\b"
)
_HUMANS = re.compile(
    r"\b(?:in man|normal man|healthy (?:adult |young )?(?:males?|females?|subjects)|"
    r"patients?|volunteers?|participants?|women|men|children|infants|neonates|adolescents|"
    r"persons?|people|humans?(?!-like)|case report|inpatients|outpatients|year[- ]old)\b",
    re.IGNORECASE,
)
_TISSUES = re.compile(r"\b(?:tissues|specimens|samples|biops\w+|datasets?|TCGA)\b")
_PERSONS = (
    "(?:patients|volunteers|participants|women|men|children|infants|neonates|adolescents|persons|"
    "people|adults|subjects|cases|boys|girls|individuals|outpatients|inpatients)"
)
# Sentences by which a document shows that it studied people, and does not only hope to serve them.
_STUDIED_HUMANS = re.compile(
    r"\bin man\b|\bhealthy (?:adult |young )?(?:males?|subjects)\b|"
    rf"\b\d[\d,]* (?!rats|mice)(?:[\w-]+ ){{0,3}}{_PERSONS}\b|\b{_PERSONS} (?:[\w-]+ ){{0,4}}"
    r"(?:were|was|who|received|receiving|underwent|undergoing|had|showed|developed|treated|given|"
    r"admitted|diagnosed)\b|\b(?:case (?:report|series)|year[- ]old|volunteers?|participants?|"
    r"cohort|enrolled|recruited|clinical trials?|(?:our|this|the|index|one|her|his) "
    r"(?:patient|man|woman|child|boy|girl|proband))\b|"
    rf"\bwe (?:report|describe|present|treated|studied|reviewed) (?:[\w-]+ ){{0,4}}(?:patient|case|"
    rf"{_PERSONS})\b",
    re.IGNORECASE,
)
_MUTATION = re.compile(
    r"\b(?:mutation|mutated|variant|polymorphism|allele|genotype)s?\b", re.IGNORECASE
)
_CLAUSE_BREAK = re.compile(
    r"[;:]|, (?:and|but|while|whereas|although)\b|\b(?:but|while|whereas|although)\b", re.IGNORECASE
)
_MUTATED_IN = re.compile(
    r"\bharbou?ring (?:an? |the |activating |somatic )*"
    r"([A-Z][A-Z0-9]{1,9}(?: [A-Z]\d+[A-Z]*| exon \d+)?) (?:mutation|variant)s?\b"
)
_GENOTYPE = re.compile(
    r"\b([A-Z][A-Z0-9]{1,9}(?:-[A-Z0-9]+)?)[- ]?((?:wild[- ]type|mutant|mutated|"
    r"mutation[- ]positive|knock-?out|deficient|null|transgenic)|\(?(?:-/-|\+/-|\+/\+)\)?)(?=\W|$)|"
    r"\b((?:homozygous|heterozygous) (?:for )?(?:the )?[A-Z][A-Z0-9-]+|carriers of (?:the )?"
    r"[A-Z][\w-]+(?: allele| mutation| variant)?)"
)
# The stage or severity of a disease, as the words before its name say.
_STAGE_WORD = (
    r"(?:locally[ -]advanced|advanced|metastatic|disseminated|unresectable|early|late|recurrent|"
    r"severe|moderate|mild|acute|subacute|chronic|active|uncomplicated|complicated|neonatal|"
    r"postmenopausal|drug-resistant|treatment-resistant|steroid-(?:resistant|dependent|refractory))"
)
_STAGE = re.compile(
    rf"\b({_STAGE_WORD}(?:(?:,? and |,? or | to |, |/|-to-){_STAGE_WORD})*) $", re.IGNORECASE
)
_STAGE_BEHIND = re.compile(
    r"(?: \([^()]*\))?,? (?:in |of |with )?stages? ([IV]+[ABC]?(?:(?: and | or | to |-|–|/)"
    r"[IV]+[ABC]?)?)\b"
)
_SEPARATOR = "; "
_OF_GENES = frozenset({"associated_gene", "sign_associated_gene"})
_BROADER = "subtype_of"
_VITRO = "vitro"  # of a culture that is not named
# What a document about cultures alone means of them wherever it says it; a gene that is linked to a
# disease in tissues of patients, or a case of an adverse effect, may stand beside the culture.
_OF_CULTURES = TREATMENTS | {"acts_on", "gene_interaction"}


def find_time(sentence: str) -> str:
    """The first date or span of years, such as "between 1990 and 1995", or ""."""
    match = _TIME.search(sentence)
    return match.group() if match else ""


def find_place(sentence: str) -> str:
    """The first country or region, or ""."""
    match = _PLACE.search(sentence)
    if match is None:
        return ""
    return match[1] or _COUNTRY_OF_ADJECTIVE[match[2]]


def find_population(sentence: str) -> str:
    """The group of people of whom alone it is said, else the first one that is more than
    "patients", such as "pregnant women", or ""."""
    named = _ONLY_GROUP.search(sentence) or _GROUP_BY_CONDITION.search(sentence)
    if named is not None:
        return named[1]
    for match in _GROUP.finditer(sentence):
        group = match.group(1).lower()
        if group not in _UNSPECIFIC_GROUPS:
            return group
    return ""


def find_comorbid_group(sentence: str, ends: Sequence[Span]) -> str:
    """The first group of people with a disease that is not at one of ``ends``, the [start, end) of
    the entities that a relation is about, such as "patients with diabetes", or ""."""
    for match in _COMORBID.finditer(sentence):
        start, end = match.span(1)
        is_own = any(start < last and first < end for first, last in ends)
        if not is_own and not _REFERENCE.search(match[1]):
            group = match[1].strip().removesuffix(" and").removesuffix(" or")
            return group.lower() if group.istitle() else group
    return ""


def find_species(text: str) -> str:
    """The first species or kind of animal experiment, such as "rats", or ""."""
    match = _SPECIES.search(text)
    if match is not None:
        word = next(filter(None, match.groups())).lower().replace("-", " ")
        return _SPECIES_OF_WORD.get(word, word)
    if _XENOGRAFT.search(text):
        return "xenografts"
    model = _ANIMAL_MODEL.search(text)
    return "animals" if model else ""


def find_cells(sentence: str) -> str:
    """The first cell line or kind of cells, such as "HepG2 cells", else "vitro" where the sentence
    is about a culture, or ""."""
    match = _CELL_LINE.search(sentence) or _CELLS.search(sentence)
    if match is not None:
        return match[1]
    return _VITRO if _IN_VITRO.search(sentence) else ""


def find_genotype(sentence: str) -> str:
    """The first genotype of those studied, such as "RAS wild-type", or ""."""
    mutated = _MUTATED_IN.search(sentence)
    if mutated is not None:
        return f"{mutated[1]} mutant"
    match = _GENOTYPE.search(sentence)
    if match is None:
        return ""
    return match[3] or f"{match[1]} {match[2].strip('()')}"


def find_stage(sentence: str, disease: Span) -> str:
    """The stage or severity that stands directly before or behind a disease [start, end), such as
    "advanced" or "stage III", or ""."""
    behind = _STAGE_BEHIND.match(sentence, disease[1])
    if behind is not None:
        return f"stage {behind[1]}"
    before = _STAGE.search(sentence, 0, disease[0])
    return before[1].lower() if before else ""


def _find_species_of_case(title: str) -> str:
    """The species of an animal that fell ill, such as "monkeys" for "in a patas monkey", or ""."""
    match = _CASE_IN_ANIMAL.search(title)
    return find_species(match[1]) if match else ""


class DocumentContext:
    """What a document says once and means for many of its sentences."""

    def __init__(self, sentences: Sequence[Sentence]) -> None:
        self._species = ""
        self._cells = ""
        self._from = 0  # the offset of the first sentence that is about the experiment
        self._species_of_case = _find_species_of_case(sentences[0].text) if sentences else ""
        if not any(_STUDIED_HUMANS.search(sentence.text) for sentence in sentences):
            self._read_experiment(sentences)
        trials = {number for sentence in sentences for number in list_trial_numbers(sentence.text)}
        self._trial = next(iter(trials)) if len(trials) == 1 else ""

    def _read_experiment(self, sentences: Sequence[Sentence]) -> None:
        """The species of the document, else its cells."""
        # The title names them, but only what follows the methods is about the experiment.
        for sentence in (*sentences[1:], *sentences[:1]):
            # "In humans, mice and zebrafish" is what others found.
            self._species = "" if _HUMANS.search(sentence.text) else find_species(sentence.text)
            if self._species:
                self._from = sentence.offset
                return
        # "In vitro" alone may be one part of the work, or of others' work.
        for sentence in (*sentences[1:], *sentences[:1]):
            self._cells = find_cells(sentence.text)
            if self._cells and self._cells != _VITRO:
                self._from = sentence.offset
                return
        self._cells = ""

    def describe(self, sentence: Sentence, subject: str, predicate: str, obj: str) -> str:
        """The clinical context of a relation between two concepts that the sentence states."""
        return _SEPARATOR.join(
            part
            for part in (
                *self._list_restrictions(sentence, subject, predicate, obj),
                *describe_treatment(sentence, subject, predicate, obj, self._trial),
            )
            if part
        )

    def _list_restrictions(
        self, sentence: Sentence, subject: str, predicate: str, obj: str
    ) -> list[str]:
        if predicate == _BROADER:
            return []  # what a disease is a kind of, it is everywhere
        text = sentence.text
        ends = [item.mention.span for item in sentence.items if item.concept_id in (subject, obj)]
        # A sentence about humans may be part of a document about animals, and the reverse.
        nearest = _find_nearest_spans(sentence, subject, obj)
        clause = _find_clause(text, nearest)
        is_of_mutation = predicate in _OF_GENES and _MUTATION.search(text) is not None
        # A species in the name of a disease was not studied: "swine influenza in mice".
        named = clause
        for start, stop in ends:
            named = named[:start] + " " * (stop - start) + named[stop:]
        last = max((stop for _, stop in ends), default=0)
        species = ""
        if not _HUMANS.search(text):
            # Of several the one that follows: "in guinea pigs and fibrillation in mice".
            species = find_species(named[last:]) or find_species(named)
        cells = "" if is_of_mutation else find_cells(named)
        is_of_experiment = sentence.offset == 0 or sentence.offset >= self._from
        is_of_people = _HUMANS.search(text) or _TISSUES.search(text)
        if is_of_mutation or (predicate not in TREATMENTS and is_of_people):
            is_of_experiment = False  # "patients with DNMT3A-mutated leukemia" in a study of mice
        if is_of_experiment and predicate not in _OF_THE_DISEASE:
            # A sentence about cells is not about the animals of the document.
            species = species or ("" if cells else self._species)
            cells = cells or (self._cells if predicate in _OF_CULTURES else "")
        species = species or self._species_of_case
        group = find_comorbid_group(clause, ends) or find_population(clause)
        stage = _find_nearest_stage(sentence, nearest) if predicate in TREATMENTS else ""
        words = (species, cells, group, find_genotype(clause), stage)
        return [f"in {word}" if word else "" for word in words]


def _find_clause(text: str, ends: Sequence[Span]) -> str:
    """A sentence with blanks outside the part that is about ``ends``, which is between the
    nearest breaks around them."""
    if not ends:
        return text
    first = min(start for start, _ in ends)
    last = max(end for _, end in ends)
    breaks = [match.span() for match in _CLAUSE_BREAK.finditer(text)]
    start = max((end for _, end in breaks if end <= first), default=0)
    stop = min((begin for begin, _ in breaks if begin >= last), default=len(text))
    return " " * start + text[start:stop] + " " * (len(text) - stop)


def _find_nearest_stage(sentence: Sentence, nearest: Sequence[Span]) -> str:
    stages = (
        find_stage(sentence.text, item.mention.span)
        for item in sentence.items
        if item.entity_type in DISEASES and item.mention.span in nearest
    )
    stage = next(filter(None, stages), "")
    return f"{stage} disease" if stage else ""


def _find_nearest_spans(sentence: Sentence, subject: str, obj: str) -> list[Span]:
    """The mentions of two concepts that stand nearest to each other; those of one of them where the
    sentence does not name the other."""
    spans: dict[str, list[Span]] = {subject: [], obj: []}
    for item in sentence.items:
        if item.concept_id in spans:
            spans[item.concept_id].append(item.mention.span)
    pairs = [(first, second) for first in spans[subject] for second in spans[obj]]
    if not pairs:
        return spans[subject] + spans[obj]
    # "X is approved for gout, but the effects of X in lupus": a break separates more than words do.
    breaks = [match.span() for match in _CLAUSE_BREAK.finditer(sentence.text)]
    distances = []
    for pair in pairs:
        (_, end), (start, _) = sorted(pair)
        is_broken = any(end <= first and last <= start for first, last in breaks)
        distances.append((is_broken, abs(pair[0][0] - pair[1][0])))
    return list(pairs[distances.index(min(distances))])
