"""A run over real disease records whose stages up to the index are finished, so that ``medr graph
run`` makes the graph alone; made without Ray."""

from collections.abc import Sequence
from pathlib import Path

import yaml
from support.finished_stages import finish_stages
from support.graph_run import write_seeds
from support.small_facts import write_facts
from support.small_index import build_index

from medr_ray.core.config import PipelineConfig
from medr_ray.core.run import open_run
from medr_ray.entities.artifacts import FREQUENCIES
from medr_ray.entities.form_patterns import write_lexicon
from medr_ray.entities.matching import Matcher
from medr_ray.knowledge.hpo import load_hpo
from medr_ray.knowledge.lexicon import build_lexicon
from medr_ray.retrieval.disease_records import document_from_disease


def write_run(
    root: Path, seeds: int, diseases: int, index_sources: Sequence[str] = ("hpo",)
) -> Path:
    """The run ``root/default`` and its configuration file, which is returned: an index of so many
    diseases that have a gene, and the first of them as seeds. It has no facts.

    ``index_sources`` are those that the configuration says are indexed.
    """
    text = root / "nothing.xml"
    text.write_text("<PubmedArticleSet/>")
    settings = {
        "run": {"root": str(root)},
        "corpus": {"sources": [str(text)]},
        "facts": {"sources": []},
        "index": {"sources": list(index_sources)},
        "retrieval": {"mode": "text"},
        "ray": {"num_cpus": 3},
    }
    file = root / "config.yaml"
    file.write_text(yaml.safe_dump(settings))
    config = PipelineConfig.model_validate(settings)
    run = open_run(config)
    records = [
        disease
        for disease in load_hpo().diseases.values()
        if any(fact.predicate == "associated_gene" for fact in disease.facts)
    ][:diseases]
    build_index(run.stage("index").local, [document_from_disease(record) for record in records])
    lexicon = build_lexicon(("hpo", "hpo_diseases", "genes"))
    write_lexicon(run.stage("entities"), lexicon)
    Matcher.build(lexicon, 4).save(run.stage("entities"))
    write_seeds(run, [record.entity_id for record in records[:seeds]])
    run.write(FREQUENCIES, [])
    write_facts(run)
    finish_stages(run, config, "index")
    return file
