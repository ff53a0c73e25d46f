"""The clinical specialty that treats a disease, one of twelve.

The paper trains on twelve medical specialties without naming them; these are our choice. Every
disease has exactly one specialty. The first kind of evidence that exists decides: MeSH tree
numbers, then the words of the name, then the branches of MONDO, then the organs of the HPO
findings. Without any evidence it is general medicine. The order of the evidence within a kind does
not matter.
"""

import functools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from medr_ray.knowledge.hpo import DiseaseRecord, Hpo
from medr_ray.knowledge.name_normalization import normalise

GENERAL = "general medicine and genetics"
_ONCOLOGY = "hematology and oncology"
_INFECTIONS = "infectious diseases"
_RHEUMATOLOGY = "rheumatology, immunology and orthopedics"
# The share of the findings' votes that a specialty needs to lead. A disease of many organs has no
# leading specialty.
_MIN_VOTE_SHARE = 0.3


@dataclass(frozen=True)
class Specialty:
    """What a specialty covers, and the evidence for it.

    ``mesh`` are prefixes of MeSH tree numbers; the longest prefix of a number decides. ``hpo`` and
    ``mondo`` are terms and diseases, each with everything below it. ``stems`` are beginnings of
    words in the name of a disease. In a stem, a leading ``*`` allows any beginning of the word,
    ``_`` inside stands for a space, and a final ``_`` for the end of the word.
    """

    covers: str
    mesh: tuple[str, ...]
    hpo: tuple[str, ...]
    mondo: tuple[str, ...]
    stems: str


SPECIALTIES: dict[str, Specialty] = {
    "cardiology": Specialty(
        covers=("heart and vessels, but not those of the brain"),
        mesh=("C14",),
        hpo=("HP:0001626",),
        mondo=("MONDO:0004995",),
        stems=(
            "aneurysm aort *arrhythm arterial arteriovenous atrial atrioventricular brugada "
            "*cardia *cardiomyopath *carditis heart hypertension qt *tachycardia "
            "telangiectasia tetralogy vascular vein venous ventricular"
        ),
    ),
    "dermatology": Specialty(
        covers=("skin, hair and nails"),
        mesh=("C17",),
        hpo=("HP:0001574",),
        mondo=("MONDO:0002051",),
        stems=(
            "acne albinism alopecia cutaneous dermat ectodermal eczema epidermolysis "
            "erythroderm erythrokerato hidradenitis hypotrichosis ichthyos *keratoderma "
            "*keratosis nail pachyonychia palmoplantar pemphig psoria skin urticaria "
            "vitiligo woolly_hair xeroderma"
        ),
    ),
    "endocrinology and metabolism": Specialty(
        covers=("glands, diabetes, nutrition and inborn errors of metabolism"),
        mesh=("C18", "C19"),
        hpo=("HP:0000818", "HP:0001939"),
        mondo=("MONDO:0005151", "MONDO:0005066", "MONDO:0005137"),
        stems=(
            "*acidemia *aciduria adrenal *aldosteron *ase_deficiency *calcemia cholesterol "
            "cushing diabetes disorder_of_glycosylation fabry fructos galactos gaucher "
            "glycogen goiter graves growth_hormone hemochromatosis hyperinsulin hypoglyc "
            "hypogonadis *lipidemia *lipidos lipodystroph *lipoprotein lysosomal metabol "
            "mitochondrial mucolipid mucopolysacchar niemann obesity "
            "oxidative_phosphorylation *parathyroid peroxisom phenylketon *phosphatemi "
            "pituitary porphyria puberty rickets storage_disease *thyroid urea_cycle "
            "vitamin"
        ),
    ),
    "gastroenterology": Specialty(
        covers=("digestive tract, liver and pancreas, mouth and teeth"),
        mesh=("C05.500", "C06", "C07", "C18.452.603"),
        hpo=("HP:0000163", "HP:0025031"),
        mondo=("MONDO:0004335", "MONDO:0006858"),
        stems=(
            "amelogenesis biliary celiac cholang cholesta cirrhosis cleft_lip cleft_palate "
            "colitis colon crohn dental dentin dentur diarrhea enamel *esophag gallbladder "
            "gastr gingiv hepat hirschsprung intestin liver mouth oral orofacial *pancreat "
            "polyposis teeth tooth"
        ),
    ),
    GENERAL: Specialty(
        covers=(
            "malformation syndromes and other inherited diseases of many organs; injuries, "
            "poisoning, signs and symptoms; whatever no other specialty claims"
        ),
        mesh=("C16", "C18.452.284", "C21", "C22", "C23", "C24", "C25", "C26"),
        hpo=("HP:0000152", "HP:0001197", "HP:0001507", "HP:0025142", "HP:0025354"),
        mondo=(),
        stems=(
            "chromosom deletion duplication *deletion *duplication monosomy tetrasomy "
            "trisomy uniparental"
        ),
    ),
    _ONCOLOGY: Specialty(
        covers=("blood, lymphatic tissue and tumours of every organ"),
        mesh=("C04", "C15", "C20.306", "C20.683", "C20.841", "C20.920"),
        hpo=("HP:0001871", "HP:0002664"),
        mondo=("MONDO:0005570", "MONDO:0045024"),
        stems=(
            "anaemia *anemia bleeding *coagul *cytopenia erythrocyt factor_i factor_v "
            "factor_x hemoglobin *haemophil *hemophil *histiocyt lymphatic lymphedema "
            "lymphoproliferative *hemoglobinemia myelodysplas myelofibros myeloprolif "
            "*neutropenia *paraganglioma pheochromocytoma platelet polycythemia spherocyt "
            "*thalassaemia *thalassemia *thrombo"
        ),
    ),
    _INFECTIONS: Specialty(
        covers=("diseases by bacteria, fungi, parasites and viruses"),
        mesh=("C01",),
        hpo=("HP:0032158",),
        mondo=("MONDO:0005550",),
        stems=(
            "amebi anthrax bacteri borrelio botulism candidiasis cholera fungal herpes "
            "infect leishman leprosy malaria parasit plague rickettsi rubella sepsis "
            "toxoplasm trypanos tubercul typh viral virus"
        ),
    ),
    "nephrology, urology and gynecology": Specialty(
        covers=("kidneys and urinary tract, sexual organs, breast, pregnancy and birth"),
        mesh=("C12", "C13", "C17.800.090"),
        hpo=("HP:0000119", "HP:0000769"),
        mondo=("MONDO:0002118", "MONDO:0005039", "MONDO:0002657", "MONDO:0700003"),
        stems=(
            "alport *azoosperm bartter bladder breast cryptorchid cystinuria genital "
            "gitelman glomerul hemolytic-uremic hydatidiform hypospadias infertil kidney "
            "menopaus *nephr oocyte ovar pregnan prostat renal sex spermatogen testic "
            "testis tubulopath ureter ureth urin uter vagin"
        ),
    ),
    "neurology and psychiatry": Specialty(
        covers=("brain with its vessels, nerves and the muscles they move, mind and behaviour"),
        mesh=(
            "C05.651.460",
            "C05.651.534",
            "C05.651.575",
            "C05.651.662",
            "C05.651.701",
            "C10",
            "C14.907.253",
            "F",
        ),
        hpo=("HP:0000707",),
        mondo=("MONDO:0005071", "MONDO:0002025"),
        stems=(
            "alzheimer amyotroph aphasia *ataxi autis bipolar brain *cerebell *cerebr "
            "charcot *chorea convuls dement depress dysautonom *dyskinesia *dyston "
            "*encephal epilep headache hemipleg huntington hydrocephal intellectual "
            "*leukodystroph lissenceph mental microcephal migraine motor_neuron "
            "muscular_atroph muscular_dystroph myasthen *myelin myelopath *myopath *myoton "
            "narcolep neural neurit neuro *neuropath palsy *paralys *parapleg parkinson "
            "polymicrogyr pachygyr psych schizophren seizure sleep spastic spinal "
            "spina_bifida stroke tourette tremor"
        ),
    ),
    "ophthalmology and otolaryngology": Specialty(
        covers=("eyes; ears, nose and throat"),
        mesh=(
            "C07.550",
            "C08.360",
            "C08.460",
            "C09",
            "C10.292.562",
            "C10.292.700",
            "C10.292.910",
            "C10.597.690",
            "C10.597.751.418",
            "C10.597.751.941",
            "C11",
        ),
        hpo=("HP:0000366", "HP:0000478", "HP:0000598", "HP:0001608"),
        mondo=("MONDO:0024458", "MONDO:0002022", "MONDO:0024623"),
        stems=(
            "amauros aniridia *anophthalm blepharo blind cataract choroid coloboma cone "
            "cornea deaf ear_ exotropia eye foveal glaucoma hearing iris keratoconus "
            "keratopath laryn macula *microphthalm myopia nasal nose *nystagmus ocul "
            "*ophthalm optic otosclero ptosis *retin rod_ stargardt strabismus usher "
            "uveitis vision visual vitre"
        ),
    ),
    "pulmonology": Specialty(
        covers=("airways, lungs and pleura"),
        mesh=("C08",),
        hpo=("HP:0002086", "HP:0045027"),
        mondo=("MONDO:0005087",),
        stems=(
            "alveol apnea asthma bronch ciliary_dyskinesia cystic_fibrosis diaphragm lung "
            "pleur pneumo pulmonary respirat surfactant trache"
        ),
    ),
    _RHEUMATOLOGY: Specialty(
        covers=("bones, joints, connective tissue, immune system and allergy"),
        mesh=("C05", "C14.907.940", "C17.300", "C20", "C26.289", "C26.404", "C26.844", "C26.874"),
        hpo=("HP:0002715", "HP:0033127", "HP:0040064"),
        mondo=("MONDO:0002081", "MONDO:0003900", "MONDO:0005046"),
        stems=(
            "acro agammaglobulin angioedema arteritis *arthr *inflammat bone brachydact "
            "camptodact *chondro clubfoot complement craniosynost digital dwarf dysost "
            "ehlers epiphys exostos femoral foot hand_ hip_ hyper-ig hypophosphatasia "
            "*immun joint limb lupus marfan metaphys oligodact *osteo *polydact rheum rib_ "
            "scleroderm scolio sjogren skelet spondyl stature symphalang *syndact *synost "
            "thumb vasculit"
        ),
    ),
}


@dataclass(frozen=True)
class _DecidingBranch:
    """MeSH branches that decide alone, whatever other tree numbers a disease has."""

    specialty: str
    branches: tuple[str, ...]
    exceptions: tuple[str, ...] = ()


# The first that applies decides. Tumours and infections are treated by their own specialists,
# whichever organ they affect. Benign and hereditary tumours, effects of tumours on nerves,
# phlebitis and keloids are left to votes.
_DECIDING_BRANCHES = (
    _DecidingBranch(
        _ONCOLOGY,
        branches=(
            "C04.557.227",
            "C04.557.337",
            "C04.557.386",
            "C04.557.435",
            "C04.557.450.795",
            "C04.557.465",
            "C04.557.470",
            "C04.557.475",
            "C04.557.580.520",
            "C04.557.580.625",
            "C04.557.595",
            "C04.557.665.510",
            "C04.588",
            "C04.619",
        ),
        exceptions=("C04.588.614.550",),
    ),
    _DecidingBranch(_INFECTIONS, branches=("C01.150", "C01.610", "C01.925")),
    # Chromosome disorders.
    _DecidingBranch(GENERAL, branches=("C16.131.260", "C16.320.180")),
    _DecidingBranch(
        _RHEUMATOLOGY,
        branches=(
            "C14.907.940",
            "C17.300.200",
            "C17.300.480",
            "C17.300.500",
            "C17.300.540",
            "C17.300.775",
            "C17.300.799",
        ),
        exceptions=("C14.907.940.740", "C17.300.200.425"),
    ),
)
_TUMOUR = re.compile(
    r"adenoma\b|blastoma|cancer|carcinoma|glioma|leuka?emia|lymphoma|melanoma|mesothelioma|myeloma|"
    r"neoplas|sarcoma|seminoma|tumou?r"
)
_SPECIALTY_OF_MESH_PREFIX = {
    prefix: name for name, specialty in SPECIALTIES.items() for prefix in specialty.mesh
}
_SPECIALTY_OF_HPO_BRANCH = {
    term: name for name, specialty in SPECIALTIES.items() for term in specialty.hpo
}
MONDO_BRANCHES = {
    disease: name for name, specialty in SPECIALTIES.items() for disease in specialty.mondo
}


def decide_specialty(
    name: str, codes: Iterable[str] = (), findings: Mapping[str, int] | None = None
) -> str:
    """The specialty of a disease.

    ``codes`` are MeSH tree numbers and MONDO branches; a branch repeats for each broader disease in
    it. ``findings`` are the votes of its HPO findings (see ``finding_votes``).
    """
    all_codes = tuple(codes)
    tree_numbers = [code for code in all_codes if ":" not in code]
    mondo_votes = Counter(MONDO_BRANCHES[code] for code in all_codes if code in MONDO_BRANCHES)
    by_name = _specialty_from_name(name)
    return (
        _specialty_from_mesh(tree_numbers, preferred=by_name)
        or by_name
        or _elect_specialty(mondo_votes)
        or _specialty_from_findings(findings or {})
    )


def _specialty_from_mesh(tree_numbers: Sequence[str], preferred: str) -> str:
    """The specialty of the first deciding branch, else of most tree numbers (on a tie the preferred
    one); "" where they have none."""
    for deciding in _DECIDING_BRANCHES:
        for number in tree_numbers:
            if _is_below(number, deciding.branches) and not _is_below(number, deciding.exceptions):
                return deciding.specialty
    specialties = (_specialty_from_tree_number(number) for number in tree_numbers)
    return _elect_specialty(Counter(filter(None, specialties)), preferred)


def _is_below(tree_number: str, branches: tuple[str, ...]) -> bool:
    return any(tree_number == branch or tree_number.startswith(f"{branch}.") for branch in branches)


def _specialty_from_tree_number(tree_number: str) -> str:
    """The specialty of the longest known prefix: the number itself, the number above it, and so on
    up to its letter."""
    prefix = tree_number
    while prefix:
        if prefix in _SPECIALTY_OF_MESH_PREFIX:
            return _SPECIALTY_OF_MESH_PREFIX[prefix]
        letter = prefix[0] if len(prefix) > 1 else ""
        prefix = prefix.rpartition(".")[0] or letter
    return ""


def _elect_specialty(votes: Mapping[str, int], preferred: str = "") -> str:
    """The specialty with the most votes, general medicine apart; on a tie the preferred one, else
    the alphabetically first; "" if there is none."""
    specific = [name for name in votes if name != GENERAL]
    if not specific:
        return ""
    return min(specific, key=lambda name: (-votes[name], name != preferred, name))


def _specialty_from_name(name: str) -> str:
    """The specialty of most of the different stems in a name, on a tie that of the first stem; ""
    where the name has none."""
    folded_name = normalise(name)
    if _TUMOUR.search(folded_name):
        return _ONCOLOGY
    pattern, specialties = _compile_stems()
    different_stems: dict[tuple[str, str], None] = {}
    for match in pattern.finditer(folded_name):
        # Every alternative is in a group "s<number>", so a match always has a last group.
        group_number = int(match.lastgroup[1:])  # type: ignore[index]
        different_stems[specialties[group_number], match.group()] = None
    votes = Counter(specialty for specialty, _ in different_stems)
    return max(votes, key=votes.__getitem__) if votes else ""


@functools.cache
def _compile_stems() -> tuple[re.Pattern[str], tuple[str, ...]]:
    """One pattern with groups "s<number>", and the specialties of these.

    The stems with any beginning are in it twice: among all stems, which are looked for where a word
    begins, and alone, for everywhere else. One look at each place for all several hundred would
    take six times as long.
    """
    groups = []
    specialties: list[str] = []
    for begin, has_any_beginning in ((r"\b", False), ("", True)):
        alternatives = []
        for name, specialty in SPECIALTIES.items():
            stems = [
                _stem_pattern(stem)
                for stem in specialty.stems.split()
                if stem.startswith("*") or not has_any_beginning
            ]
            if stems:
                alternatives.append(f"(?P<s{len(specialties)}>{'|'.join(stems)})")
                specialties.append(name)
        groups.append(f"{begin}(?:{'|'.join(alternatives)})")
    return re.compile("|".join(groups)), tuple(specialties)


def _stem_pattern(stem: str) -> str:
    """The regular expression of a stem behind its beginning; ``Specialty`` explains its signs."""
    end = r"\b" if stem.endswith("_") else ""
    return re.escape(stem.strip("*_").replace("_", " ")) + end


def map_specialties(hpo: Hpo) -> dict[str, list[str]]:
    """The specialties of every term (see ``term_specialties``)."""
    return {term_id: term_specialties(hpo, term_id) for term_id in hpo.terms}


def term_specialties(hpo: Hpo, term_id: str) -> list[str]:
    """The specialties of the organ systems that a phenotype belongs to, sorted; often more than
    one."""
    specialties = {
        _SPECIALTY_OF_HPO_BRANCH[branch]
        for branch in hpo.ancestors(term_id)
        if branch in _SPECIALTY_OF_HPO_BRANCH
    }
    return sorted(specialties)


def phenotype_specialty(hpo: Hpo, term_id: str) -> str:
    """One of a phenotype's specialties: the one that its name shows, else the alphabetically first.

    General medicine only where there is no other; "" if there is none.
    """
    specialties = term_specialties(hpo, term_id)
    by_name = _specialty_from_name(hpo.terms[term_id].name)
    # Where the election finds none, general medicine is the only one, if there is one at all.
    return _elect_specialty(Counter(specialties), by_name) or "".join(specialties)


def finding_votes(specialties: Mapping[str, Sequence[str]], disease: DiseaseRecord) -> Counter[str]:
    """How many findings of a disease fall under each specialty; ``specialties`` are those of the
    terms (``map_specialties``)."""
    votes: Counter[str] = Counter()
    for fact in disease.facts:
        if fact.predicate == "has_finding":
            votes.update(specialties[fact.object_id])
    return votes


def _specialty_from_findings(votes: Mapping[str, int]) -> str:
    """The specialty with the most findings, if its share is large enough to lead."""
    if not votes:
        return GENERAL
    leader = min(votes, key=lambda name: (-votes[name], name))
    return leader if votes[leader] >= _MIN_VOTE_SHARE * sum(votes.values()) else GENERAL
