"""Which of twelve clinical specialties looks after a disease.

The paper trains over twelve medical specialties and does not name them; these are ours. What holds:
every disease has exactly one; the first evidence that speaks decides: MeSH tree numbers, the words
of its name, its place in MONDO, the organs of its HPO findings; where all are silent it is general
medicine. The order in which evidence comes does not matter.
"""

import functools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from medr_ray.knowledge.hpo import DiseaseRecord, Hpo
from medr_ray.knowledge.name_normalization import normalise

GENERAL = "general medicine and genetics"
_ONCOLOGY, _INFECTIONS = "hematology and oncology", "infectious diseases"
_RHEUMATOLOGY = "rheumatology, immunology and orthopedics"
_MIN_SHARE = 0.3  # of the findings' votes: a disease of many organs has none that leads


@dataclass(frozen=True)
class Specialty:
    """What a specialty covers and what decides for it: prefixes of MeSH tree numbers (the longest
    that fits), HPO terms and MONDO diseases with all below them, and beginnings of words in a
    disease's name (after ``*`` anywhere in a word; ``_`` inside is a space, at the end the end of
    the word)."""

    covers: str
    mesh: tuple[str, ...]
    hpo: tuple[str, ...]
    mondo: tuple[str, ...]
    stems: str


SPECIALTIES: dict[str, Specialty] = {
    "cardiology": Specialty(
        "heart and vessels, but not those of the brain",
        ("C14",),
        ("HP:0001626",),
        ("MONDO:0004995",),
        "aneurysm aort *arrhythm arterial arteriovenous atrial atrioventricular brugada *cardia *cardiomyopath "
        "*carditis heart hypertension qt *tachycardia telangiectasia tetralogy vascular vein venous ventricular",
    ),
    "dermatology": Specialty(
        "skin, hair and nails",
        ("C17",),
        ("HP:0001574",),
        ("MONDO:0002051",),
        "acne albinism alopecia cutaneous dermat ectodermal eczema epidermolysis erythroderm erythrokerato "
        "hidradenitis hypotrichosis ichthyos *keratoderma *keratosis nail pachyonychia palmoplantar pemphig psoria "
        "skin urticaria vitiligo woolly_hair xeroderma",
    ),
    "endocrinology and metabolism": Specialty(
        "glands, diabetes, nutrition and inborn errors of metabolism",
        ("C18", "C19"),
        ("HP:0000818", "HP:0001939"),
        ("MONDO:0005151", "MONDO:0005066", "MONDO:0005137"),
        "*acidemia *aciduria adrenal *aldosteron *ase_deficiency *calcemia cholesterol cushing diabetes "
        "disorder_of_glycosylation fabry fructos galactos gaucher glycogen goiter graves growth_hormone "
        "hemochromatosis hyperinsulin hypoglyc hypogonadis *lipidemia *lipidos lipodystroph *lipoprotein lysosomal "
        "metabol mitochondrial mucolipid mucopolysacchar niemann obesity oxidative_phosphorylation *parathyroid "
        "peroxisom phenylketon *phosphatemi pituitary porphyria puberty rickets storage_disease *thyroid urea_cycle "
        "vitamin",
    ),
    "gastroenterology": Specialty(
        "digestive tract, liver and pancreas, mouth and teeth",
        ("C05.500", "C06", "C07", "C18.452.603"),
        ("HP:0000163", "HP:0025031"),
        ("MONDO:0004335", "MONDO:0006858"),
        "amelogenesis biliary celiac cholang cholesta cirrhosis cleft_lip cleft_palate colitis colon crohn dental "
        "dentin dentur diarrhea enamel *esophag gallbladder gastr gingiv hepat hirschsprung intestin liver mouth "
        "oral orofacial *pancreat polyposis teeth tooth",
    ),
    GENERAL: Specialty(
        "malformation syndromes and other inherited diseases of many organs; injuries, poisoning, signs and symptoms; "
        "whatever no other specialty claims",
        ("C16", "C18.452.284", "C21", "C22", "C23", "C24", "C25", "C26"),
        ("HP:0000152", "HP:0001197", "HP:0001507", "HP:0025142", "HP:0025354"),
        (),
        "chromosom deletion duplication *deletion *duplication monosomy tetrasomy trisomy uniparental",
    ),
    _ONCOLOGY: Specialty(
        "blood, lymphatic tissue and tumours of every organ",
        ("C04", "C15", "C20.306", "C20.683", "C20.841", "C20.920"),
        ("HP:0001871", "HP:0002664"),
        ("MONDO:0005570", "MONDO:0045024"),
        "anaemia *anemia bleeding *coagul *cytopenia erythrocyt factor_i factor_v factor_x hemoglobin *haemophil "
        "*hemophil *histiocyt lymphatic lymphedema lymphoproliferative *hemoglobinemia myelodysplas myelofibros "
        "myeloprolif *neutropenia *paraganglioma pheochromocytoma platelet polycythemia spherocyt *thalassaemia "
        "*thalassemia *thrombo",
    ),
    _INFECTIONS: Specialty(
        "diseases by bacteria, fungi, parasites and viruses",
        ("C01",),
        ("HP:0032158",),
        ("MONDO:0005550",),
        "amebi anthrax bacteri borrelio botulism candidiasis cholera fungal herpes infect leishman leprosy malaria "
        "parasit plague rickettsi rubella sepsis toxoplasm trypanos tubercul typh viral virus",
    ),
    "nephrology, urology and gynecology": Specialty(
        "kidneys and urinary tract, sexual organs, breast, pregnancy and birth",
        ("C12", "C13", "C17.800.090"),
        ("HP:0000119", "HP:0000769"),
        ("MONDO:0002118", "MONDO:0005039", "MONDO:0002657", "MONDO:0700003"),
        "alport *azoosperm bartter bladder breast cryptorchid cystinuria genital gitelman glomerul hemolytic-uremic "
        "hydatidiform hypospadias infertil kidney menopaus *nephr oocyte ovar pregnan prostat renal sex spermatogen "
        "testic testis tubulopath ureter ureth urin uter vagin",
    ),
    "neurology and psychiatry": Specialty(
        "brain with its vessels, nerves and the muscles they move, mind and behaviour",
        (
            "C05.651.460",
            "C05.651.534",
            "C05.651.575",
            "C05.651.662",
            "C05.651.701",
            "C10",
            "C14.907.253",
            "F",
        ),
        ("HP:0000707",),
        ("MONDO:0005071", "MONDO:0002025"),
        "alzheimer amyotroph aphasia *ataxi autis bipolar brain *cerebell *cerebr charcot *chorea convuls dement "
        "depress dysautonom *dyskinesia *dyston *encephal epilep headache hemipleg huntington hydrocephal "
        "intellectual *leukodystroph lissenceph mental microcephal migraine motor_neuron muscular_atroph "
        "muscular_dystroph myasthen *myelin myelopath *myopath *myoton narcolep neural neurit neuro *neuropath palsy "
        "*paralys *parapleg parkinson polymicrogyr pachygyr psych schizophren seizure sleep spastic spinal "
        "spina_bifida stroke tourette tremor",
    ),
    "ophthalmology and otolaryngology": Specialty(
        "eyes; ears, nose and throat",
        (
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
        ("HP:0000366", "HP:0000478", "HP:0000598", "HP:0001608"),
        ("MONDO:0024458", "MONDO:0002022", "MONDO:0024623"),
        "amauros aniridia *anophthalm blepharo blind cataract choroid coloboma cone cornea deaf ear_ exotropia eye "
        "foveal glaucoma hearing iris keratoconus keratopath laryn macula *microphthalm myopia nasal nose *nystagmus "
        "ocul *ophthalm optic otosclero ptosis *retin rod_ stargardt strabismus usher uveitis vision visual vitre",
    ),
    "pulmonology": Specialty(
        "airways, lungs and pleura",
        ("C08",),
        ("HP:0002086", "HP:0045027"),
        ("MONDO:0005087",),
        "alveol apnea asthma bronch ciliary_dyskinesia cystic_fibrosis diaphragm lung pleur pneumo pulmonary "
        "respirat surfactant trache",
    ),
    _RHEUMATOLOGY: Specialty(
        "bones, joints, connective tissue, immune system and allergy",
        ("C05", "C14.907.940", "C17.300", "C20", "C26.289", "C26.404", "C26.844", "C26.874"),
        ("HP:0002715", "HP:0033127", "HP:0040064"),
        ("MONDO:0002081", "MONDO:0003900", "MONDO:0005046"),
        "acro agammaglobulin angioedema arteritis *arthr *inflammat bone brachydact camptodact *chondro clubfoot "
        "complement craniosynost digital dwarf dysost ehlers epiphys exostos femoral foot hand_ hip_ hyper-ig "
        "hypophosphatasia *immun joint limb lupus marfan metaphys oligodact *osteo *polydact rheum rib_ scleroderm "
        "scolio sjogren skelet spondyl stature symphalang *syndact *synost thumb vasculit",
    ),
}

# Branches that decide alone, the first that is there: tumours and infections go to those who treat
# them, wherever they
# sit. Benign and hereditary tumours and what tumours do to nerves, phlebitis and keloids are left
# to votes.
_OUTRIGHT = (
    (
        _ONCOLOGY,
        (
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
        ("C04.588.614.550",),
    ),
    (_INFECTIONS, ("C01.150", "C01.610", "C01.925"), ()),
    (GENERAL, ("C16.131.260", "C16.320.180"), ()),  # chromosome disorders
    (
        _RHEUMATOLOGY,
        (
            "C14.907.940",
            "C17.300.200",
            "C17.300.480",
            "C17.300.500",
            "C17.300.540",
            "C17.300.775",
            "C17.300.799",
        ),
        ("C14.907.940.740", "C17.300.200.425"),
    ),
)
_TUMOUR = re.compile(
    r"adenoma\b|blastoma|cancer|carcinoma|glioma|leuka?emia|lymphoma|melanoma|mesothelioma|myeloma|"
    r"neoplas|sarcoma|seminoma|tumou?r"
)
_MESH = {prefix: name for name, one in SPECIALTIES.items() for prefix in one.mesh}
_HPO = {term: name for name, one in SPECIALTIES.items() for term in one.hpo}
MONDO_BRANCHES = {disease: name for name, one in SPECIALTIES.items() for disease in one.mondo}


def decide_specialty(
    name: str, codes: Iterable[str] = (), findings: Mapping[str, int] | None = None
) -> str:
    """The specialty of a disease.

    ``codes`` are MeSH tree numbers, and MONDO branches once for each broader disease below them;
    ``findings`` the votes of its HPO findings (see ``finding_votes``).
    """
    given, named = tuple(codes), _named(name)
    mesh = _classified([code for code in given if ":" not in code], named)
    mondo = Counter(MONDO_BRANCHES[code] for code in given if code in MONDO_BRANCHES)
    return mesh or named or _elected(mondo) or _leading(findings or {})


def _classified(numbers: Sequence[str], preferred: str) -> str:
    """The specialty most tree numbers point to, of equals the preferred one; "" where they point to
    none."""
    for specialty, branches, but_not in _OUTRIGHT:
        if any(_is_below(tree, branches) and not _is_below(tree, but_not) for tree in numbers):
            return specialty
    return _elected(Counter(filter(None, map(_by_prefix, numbers))), preferred)


def _is_below(tree: str, branches: tuple[str, ...]) -> bool:
    return any(tree == branch or tree.startswith(f"{branch}.") for branch in branches)


def _by_prefix(tree: str) -> str:
    """What the longest prefix of a tree number stands for: its own number, that above it, ..., its
    letter."""
    while tree:
        if tree in _MESH:
            return _MESH[tree]
        tree = tree.rpartition(".")[0] or (tree[0] if len(tree) > 1 else "")
    return ""


def _elected(votes: Mapping[str, int], preferred: str = "") -> str:
    """The specialty with the most votes, general medicine apart; of equals the preferred, else the
    alphabetically first; "" where there is none."""
    specific = [name for name in votes if name != GENERAL]
    return min(specific, key=lambda one: (-votes[one], one != preferred, one)) if specific else ""


def _named(name: str) -> str:
    """The specialty most stems in a name belong to, of equals that of the first; "" when it says
    nothing."""
    folded = normalise(name)
    if _TUMOUR.search(folded):
        return _ONCOLOGY
    pattern, owners = _stems()
    found = dict.fromkeys(
        (owners[int(match.lastgroup[1:])], match.group())  # type: ignore[index]
        for match in pattern.finditer(folded)
    )
    votes = Counter(specialty for specialty, _ in found)
    return max(votes, key=votes.__getitem__) if votes else ""


@functools.cache
def _stems() -> tuple[re.Pattern[str], tuple[str, ...]]:
    """One pattern with a group per specialty, and the specialties in the order of their groups."""
    groups = []
    for number, one in enumerate(SPECIALTIES.values()):
        groups.append(f"(?P<s{number}>{'|'.join(map(_stem, one.stems.split()))})")
    return re.compile("|".join(groups)), tuple(SPECIALTIES)


def _stem(stem: str) -> str:
    begin, end = "" if stem.startswith("*") else r"\b", r"\b" if stem.endswith("_") else ""
    return begin + re.escape(stem.strip("*_").replace("_", " ")) + end


def term_specialties(hpo: Hpo, term_id: str) -> list[str]:
    """The specialties of the organ systems a phenotype belongs to, sorted; often more than one."""
    return sorted({_HPO[branch] for branch in hpo.ancestors(term_id) if branch in _HPO})


def phenotype_specialty(hpo: Hpo, term_id: str) -> str:
    """One of a phenotype's specialties: what its name says, else the alphabetically first, general
    medicine only where there is no other; "" when it has none."""
    found = term_specialties(hpo, term_id)
    return _elected(Counter(found), _named(hpo.terms[term_id].name)) or "".join(found)


def finding_votes(hpo: Hpo, disease: DiseaseRecord) -> Counter[str]:
    """How many findings of a disease fall under each specialty."""
    findings = [fact.object_id for fact in disease.facts if fact.predicate == "has_finding"]
    return Counter(one for term_id in findings for one in term_specialties(hpo, term_id))


def _leading(votes: Mapping[str, int]) -> str:
    """The specialty with the most findings, if they are many enough to lead."""
    if not votes:
        return GENERAL
    first = min(votes, key=lambda one: (-votes[one], one))
    return first if votes[first] >= _MIN_SHARE * sum(votes.values()) else GENERAL
