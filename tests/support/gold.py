"""Annotated corpora as published, for measuring: mentions, concept ids and relations of BioC XML
and brat files.

Offsets are characters of ``GoldDocument.text``, spans are as annotated (a few of BC5CDR
are off by one), and nothing is filtered here: what an evaluation leaves out, the evaluation says.

Formats: BioC XML (Comeau et al., Database 2013, bat064) as BC5CDR and BioRED use it; brat standoff
(https://brat.nlplab.org/standoff.html), the ``T`` and ``R`` lines.
"""

import gzip
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

from lxml import etree

from medr_ray.core.errors import DataError

_ID_KEYS = ("MESH", "identifier")  # BC5CDR, BioRED
_SEPARATORS = re.compile(r"[|,]")  # BC5CDR joins ids by a bar, BioRED by a comma
_NO_ID = ("", "-", "-1")
# Every other infon of a relation is an argument by its role.
_NOT_ARGUMENTS = ("relation", "type", "novel")


@dataclass(frozen=True)
class GoldMention:
    """A mention. ``spans`` are the [start, end) pieces of a discontinuous one, ``text`` as the
    annotator's file has it.

    ``concept_ids`` is empty where the annotators found no concept and has several for a composite
    ("liver and renal failure"). ``inside_composite`` marks the parts that BC5CDR lists once more
    beside their composite.
    """

    mention_id: str
    kind: str
    spans: tuple[tuple[int, int], ...]
    text: str
    concept_ids: tuple[str, ...] = ()
    inside_composite: bool = False

    @property
    def start(self) -> int:
        return self.spans[0][0]

    @property
    def end(self) -> int:
        return self.spans[-1][1]


@dataclass(frozen=True)
class GoldRelation:
    """A relation of a document. ``arguments`` are (role, concept id) pairs in BioC, (role, mention
    id) pairs in brat.

    ``novel`` is BioRED's flag: the paper's own finding, or background; None where the corpus has no
    such flag.
    """

    relation_id: str
    kind: str
    arguments: tuple[tuple[str, str], ...]
    novel: bool | None = None


@dataclass(frozen=True)
class GoldDocument:
    """One document; ``text`` is title and abstract with the white space their offsets leave between
    them."""

    document_id: str
    text: str
    mentions: tuple[GoldMention, ...]
    relations: tuple[GoldRelation, ...]


def read_bioc(path: Path) -> list[GoldDocument]:
    """The documents of a (gzipped) BioC XML collection. DataError where it is no such file."""
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        root = etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True))
        return [_bioc_document(element) for element in root.iter("document")]
    except (etree.XMLSyntaxError, KeyError, ValueError, OSError) as error:
        raise DataError(
            f"{path}: not a BioC collection: {error!r}; fetch the corpus again"
        ) from None


def read_brat(path: Path) -> list[GoldDocument]:
    """The documents of a zip of brat ``.txt`` and ``.ann`` pairs, by name. DataError where a half
    is missing.

    RareDis renumbers its mentions in at least 356 of 729 documents without telling the
    relations: those point to other mentions or to none, and are not fit to measure against.
    """
    with zipfile.ZipFile(path) as archive:
        names = sorted(
            name for name in archive.namelist() if name.endswith(".ann") and "__MACOSX" not in name
        )
        try:
            return [_brat_document(name, archive) for name in names]
        except (KeyError, ValueError) as error:
            raise DataError(
                f"{path}: not brat .txt and .ann pairs: {error!r}; fetch the corpus again"
            ) from None


def _bioc_document(element: etree._Element) -> GoldDocument:
    text, mentions = "", []
    for passage in element.iter("passage"):
        text = text.ljust(int(passage.findtext("offset", ""))) + passage.findtext("text", "")
        mentions += [_bioc_mention(annotation) for annotation in passage.iter("annotation")]
    relations = tuple(_bioc_relation(relation) for relation in element.iter("relation"))
    return GoldDocument(element.findtext("id", ""), text, tuple(mentions), relations)


def _infons(element: etree._Element) -> dict[str, str]:
    return {
        infon.attrib["key"]: (infon.text or "").strip() for infon in element.iterchildren("infon")
    }


def _bioc_mention(element: etree._Element) -> GoldMention:
    infons = _infons(element)
    ids = next((infons[key] for key in _ID_KEYS if key in infons), "")
    spans = sorted(
        (int(place.attrib["offset"]), int(place.attrib["offset"]) + int(place.attrib["length"]))
        for place in element.iter("location")
    )
    kind, text = infons["type"], element.findtext("text", "")
    inside = infons.get("CompositeRole") == "IndividualMention"
    return GoldMention(element.attrib["id"], kind, tuple(spans), text, split_ids(ids, kind), inside)


def split_ids(ids: str, kind: str) -> tuple[str, ...]:
    """The concept ids of one annotation. A variant's id ("c|SUB|A|1|T") has bars of its own."""
    parts = [ids] if kind == "SequenceVariant" else _SEPARATORS.split(ids)
    return tuple(part.strip() for part in parts if part.strip() not in _NO_ID)


def _bioc_relation(element: etree._Element) -> GoldRelation:
    infons = _infons(element)
    arguments = tuple((role, value) for role, value in infons.items() if role not in _NOT_ARGUMENTS)
    novel = {"Novel": True, "No": False}.get(infons.get("novel", ""))
    return GoldRelation(
        element.attrib["id"], infons.get("type") or infons["relation"], arguments, novel
    )


def _brat_document(name: str, archive: zipfile.ZipFile) -> GoldDocument:
    text = archive.read(name.removesuffix(".ann") + ".txt").decode()
    lines = archive.read(name).decode().splitlines()
    return GoldDocument(
        Path(name).stem,
        text,
        tuple(_brat_mention(line) for line in lines if line.startswith("T")),
        tuple(_brat_relation(line) for line in lines if line.startswith("R")),
    )


def _brat_mention(line: str) -> GoldMention:
    """``T1<tab>KIND 0 5;16 23<tab>text``"""
    mention_id, annotation, text = line.split("\t", 2)
    kind, _, pieces = annotation.partition(" ")
    spans = tuple(
        (int(start), int(end)) for start, end in (piece.split() for piece in pieces.split(";"))
    )
    return GoldMention(mention_id, kind, spans, text)


def _brat_relation(line: str) -> GoldRelation:
    """``R1<tab>Kind Arg1:T1 Arg2:T2``"""
    relation_id, annotation = line.split("\t")[:2]
    kind, *arguments = annotation.split()
    pairs = tuple(
        (role, mention) for role, mention in (argument.split(":", 1) for argument in arguments)
    )
    return GoldRelation(relation_id, kind, pairs)
