"""Facts from PubMed articles, for questions that rest on a published report.

Disease records have lines of fields, which ``notes`` can read; abstracts have sentences. An
article's title and snippet are therefore read with the same cues and the same dictionary
as in the graph stage, so that the teacher finds the facts that the question was made from.
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
    """Extracts facts from articles (a ``notes.ArticleParser``). Entities get the vocabulary's
    names."""

    def __init__(self, extractor: RulesExtractor, vocabulary: Vocabulary) -> None:
        self._extractor = extractor
        self._vocabulary = vocabulary

    @classmethod
    def open(cls, run: RunDirectory, min_confidence: float) -> "ArticleReader":
        """A reader with the run's dictionary. Loading it takes some seconds, so each process opens
        one reader."""
        entities = run.stage("entities")
        hpo = load_hpo()
        vocabulary = Vocabulary.from_directory(entities, hpo.replacements)
        matcher = Matcher.load(entities)
        return cls(RulesExtractor(vocabulary, matcher, hpo, min_confidence), vocabulary)

    def __call__(self, document_id: str, title: str, text: str) -> Iterator[Fact]:
        """The facts stated by the title and by the sentences of the snippet."""
        # A stored article has its title as the first line of its text. Year and journal stay empty:
        # ``Notes`` takes the years of the report from the search.
        document = Document(document_id, PUBMED, title, f"{title}\n{text}", None, (), False, "")
        for relation in self._extractor.extract(document).relations:
            yield Fact(
                relation.predicate,
                self._vocabulary.name_of(relation.subject),
                self._vocabulary.name_of(relation.object),
                relation.clinical,
            )
