"""How texts name the kinds of entities: "that disease", "the gene FBN1"."""

from dataclasses import dataclass

from medr_ray.core.records import NodeType


@dataclass(frozen=True)
class KindWording:
    """The word for a kind in English and Chinese. The names of an ``announced`` kind come with it,
    because alone they may be an ordinary word (a gene's symbol) or a bare number (a patent's)."""

    english: str
    chinese: str
    announced: bool = False


KIND_WORDING: dict[NodeType, KindWording] = {
    "disease": KindWording("disease", "疾病"),
    "phenotype": KindWording("finding", "表现"),
    "gene": KindWording("gene", "基因", announced=True),
    "drug": KindWording("drug", "药物"),
    "value": KindWording("value", "值"),
    "trial": KindWording("trial", "试验", announced=True),
    "application": KindWording("application", "申请", announced=True),
    "product": KindWording("product", "产品", announced=True),
    "substance": KindWording("substance", "物质"),
    "company": KindWording("company", "公司"),
    "patent": KindWording("patent", "专利", announced=True),
    "label": KindWording("label", "说明书", announced=True),
    "institution": KindWording("institution", "机构"),
    "person": KindWording("person", "人员"),
    "paper": KindWording("paper", "论文", announced=True),
    "journal": KindWording("journal", "期刊"),
}
_ANNOUNCED = [wording for wording in KIND_WORDING.values() if wording.announced]


def announce(kind: NodeType, name: str) -> str:
    """The name as a text has it: "the gene FBN1", "Marfan syndrome"."""
    wording = KIND_WORDING[kind]
    return f"the {wording.english} {name}" if wording.announced else name


def announce_in_chinese(kind: NodeType, name: str) -> str:
    """As ``announce``: "基因FBN1"."""
    wording = KIND_WORDING[kind]
    return f"{wording.chinese}{name}" if wording.announced else name


def strip_announcement(text: str) -> str:
    """The name alone, of an English text by ``announce``."""
    for wording in _ANNOUNCED:
        name = text.removeprefix(f"the {wording.english} ")
        if name != text:
            return name
    return text


def strip_chinese_announcement(text: str) -> str:
    """The name alone, of a Chinese text by ``announce_in_chinese``."""
    for wording in _ANNOUNCED:
        name = text.removeprefix(wording.chinese)
        if name != text:
            return name
    return text
