"""What articles state, read with the cues and the dictionary that the graph was made with.

Disease records speak in the wording of ``knowledge.predicates``; an abstract does not. Its title
and the sentences of it that a search shows are read as the graph stage reads a whole one, so what
is found here is what a question that rests on a report was made from.
"""

from collections.abc import Iterator

from medr_ray.core.run import RunDirectory
from medr_ray.entities.matching import Matcher
from medr_ray.graph.extraction.extractor import RulesExtractor
from medr_ray.graph.vocabulary import Vocabulary
from medr_ray.knowledge.hpo import load_hpo
from medr_ray.retrieval.documents import PUBMED, Document
from medr_ray.trajectories.solver.notes import Fact


class ArticleReader:
    """Reads facts out of what is shown of an article. Names are the vocabulary's."""

    def __init__(self, extractor: RulesExtractor, vocabulary: Vocabulary) -> None:
        self._extractor, self._vocabulary = extractor, vocabulary

    @classmethod
    def open(cls, run: RunDirectory, min_confidence: float) -> "ArticleReader":
        """Over the run's lexicon, as its graph was read (some seconds, once per process)."""
        entities, hpo = run.stage("entities"), load_hpo()
        vocabulary = Vocabulary.from_directory(entities, hpo.replacements)
        return cls(
            RulesExtractor(vocabulary, Matcher.load(entities), hpo, min_confidence), vocabulary
        )

    def __call__(self, document_id: str, title: str, text: str) -> Iterator[Fact]:
        """The facts that the title and the sentences shown state."""
        document = Document(document_id, PUBMED, title, f"{title}\n{text}", None, (), False, "")
        for relation in self._extractor.extract(document).relations:
            yield Fact(
                relation.predicate,
                self._vocabulary.name_of(relation.subject),
                self._vocabulary.name_of(relation.object),
                relation.clinical,
            )
