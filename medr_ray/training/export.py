"""Streams of trained weights: packed into buckets, and written as a model in Hugging Face format.

The backend gathers one tensor at a time (``TrainerBackend.stream_weights``), and what is written is
dropped before more is gathered. So no process ever holds the whole model.
"""

import contextlib
import json
import shutil
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from medr_ray.core.config import LoraConfig
from medr_ray.core.errors import DataError, InfrastructureError
from medr_ray.core.json_text import parse_json
from medr_ray.core.private_files import FILE_MODE, flush_to_disk, make_private_folder
from medr_ray.engines.meta_model import build_meta_model, convert_to_file_names
from medr_ray.training.backends import TrainerBackend
from medr_ray.training.collectives import get_rank
from medr_ray.training.lora import save_adapter

# 1 GiB: large enough that files and messages are few, small beside the memory of any host.
BUCKET_BYTES = 2**30
_INDEX_FILE = "model.safetensors.index.json"
# Everything beside the weights that a model directory needs: configuration, tokenizer, chat
# templates, code of the model's own, licences.
_KEPT_SUFFIXES = frozenset({".json", ".jinja", ".txt", ".model", ".tiktoken", ".py"})
_KEPT_NAMES = ("LICENSE", "NOTICE")
_KEPT_FOLDER = "additional_chat_templates"
_CONFIG_FILE = "config.json"
_ADAPTER_FOLDER = "adapter"
_NAMED_IN_ERRORS = 5  # tensors


def pack_buckets(
    stream: Iterable[tuple[str, torch.Tensor]], max_bytes: int = BUCKET_BYTES
) -> Iterator[dict[str, torch.Tensor]]:
    """Pack tensors into buckets of at most ``max_bytes``, in their order; a larger tensor is a
    bucket of its own.

    A bucket is emptied when the next one is asked for, so at most two are alive: the one that is
    filled, and the tensor that no longer fits it.
    """
    bucket: dict[str, torch.Tensor] = {}
    size = 0
    for name, tensor in stream:
        if bucket and size + tensor.nbytes > max_bytes:
            yield bucket
            bucket.clear()
            bucket = {}
            size = 0
        bucket[name] = tensor
        size += tensor.nbytes
        del tensor  # or the loop would hold it while the next one is gathered
    if bucket:
        yield bucket
        bucket.clear()


def save_model(
    backend: TrainerBackend,
    source: Path,
    target: Path,
    trust_remote_code: bool = False,
    max_bytes: int = BUCKET_BYTES,
    lora: LoraConfig | None = None,
) -> None:
    """Write the trained model to ``target`` in Hugging Face format, in the number format of
    ``stream_weights``. Every worker must call this.

    With ``lora`` the adapter is merged into the model, and is also written by itself to
    ``adapter/`` in ``target``, as PEFT and vLLM read it.
    Everything but the weights is that of ``source``, from which the model was loaded. ``target`` is
    complete as soon as it exists, and takes the place of an earlier model only when it is whole.
    Raises DataError when the weights are not exactly those of ``source``'s model, and OSError or
    InfrastructureError where they cannot be written.
    """
    stream = backend.stream_weights()
    if get_rank() != 0:
        # Takes part in the gathering; there is nothing to write.
        for _ in stream:
            raise RuntimeError("only rank 0 is given weights")
        if lora is not None:
            list(backend.stream_weights(adapter_only=True))
        return
    restore_replaced(target)
    folder = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.partial")
    make_private_folder(folder)
    try:
        _write_model(stream, source, folder, trust_remote_code, max_bytes)
        if lora is not None:
            adapter = backend.stream_weights(adapter_only=True)
            save_adapter(adapter, lora, source, folder / _ADAPTER_FOLDER)
        replace_model(folder, target)
    except SafetensorError as error:
        # The library gives the system's errors as its own, without the place.
        raise InfrastructureError(
            f"{target}: the model could not be written ({error}). Mend that, or set run.root to "
            "another place; an earlier model is as it was"
        ) from error
    finally:
        # Gone where all went well; else a full disk is not to stay full of it.
        shutil.rmtree(folder, ignore_errors=True)


def _write_model(
    stream: Iterable[tuple[str, torch.Tensor]],
    source: Path,
    folder: Path,
    trust_remote_code: bool,
    max_bytes: int,
) -> None:
    """Write all files of the model to ``folder``."""
    model = build_meta_model(source, trust_remote_code)
    shapes: dict[str, tuple[int, ...]] = {}
    dtypes: set[torch.dtype] = set()
    writer = _ShardWriter(folder)
    for bucket in pack_buckets(convert_to_file_names(model, stream), max_bytes):
        shapes.update({name: tuple(tensor.shape) for name, tensor in bucket.items()})
        dtypes.update(tensor.dtype for tensor in bucket.values())
        writer.write(bucket)
    originals = _SourceTensors(source)
    _check_weights(shapes, model, originals)
    # Buffers are not trained, and no stream has them.
    buffers = {
        name: originals.read(name) for name in _list_buffers(model) if name in originals.files
    }
    if buffers:
        writer.write(buffers)
    writer.finish()
    (dtype,) = dtypes
    _copy_description(source, folder, dtype)


def _list_buffers(model: Any) -> list[str]:
    """The names of a model's persistent buffers, as files have them."""
    parameters = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    buffers = [
        (name, value) for name, value in model.state_dict().items() if name not in parameters
    ]
    return [name for name, _ in convert_to_file_names(model, buffers)]


class _SourceTensors:
    """The tensors in the files of a model directory; ``files`` has the file of each name."""

    def __init__(self, source: Path) -> None:
        self.source = source
        self.files: dict[str, Path] = {}
        for path in sorted(source.glob("*.safetensors")):
            with safe_open(path, framework="pt") as file:
                self.files.update(dict.fromkeys(file.keys(), path))

    def read(self, name: str) -> torch.Tensor:
        with safe_open(self.files[name], framework="pt") as file:
            return file.get_tensor(name)

    def read_shape(self, name: str) -> tuple[int, ...]:
        with safe_open(self.files[name], framework="pt") as file:
            return tuple(file.get_slice(name).get_shape())


def _check_weights(
    shapes: dict[str, tuple[int, ...]], model: Any, originals: _SourceTensors
) -> None:
    """Raises DataError where ``shapes``, by name, are not those of the model's parameters, of which
    a tied one has one name. Where its source has the same name, the shape is the source's."""
    expected = {
        name: tuple(tensor.shape)
        for name, tensor in convert_to_file_names(model, model.named_parameters())
    }
    expected |= {name: originals.read_shape(name) for name in expected if name in originals.files}
    missing = sorted(expected.keys() - shapes.keys())
    unexpected = sorted(shapes.keys() - expected.keys())
    other = sorted(
        name for name in shapes.keys() & expected.keys() if shapes[name] != expected[name]
    )
    parts = [
        f"{len(names)} {what}: {', '.join(names[:_NAMED_IN_ERRORS])}"
        for what, names in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("of another shape", other),
        )
        if names
    ]
    if parts:
        raise DataError(
            f"the trained weights are not those of {originals.source}: {'; '.join(parts)}. Nothing "
            "was saved, and an earlier model is as it was"
        )


class _ShardWriter:
    """Writes weights as safetensors shards with their index."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._shards: list[list[str]] = []  # the names in each
        self._bytes = 0

    def write(self, tensors: dict[str, torch.Tensor]) -> None:
        """Write one shard."""
        contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
        save_file(contiguous, self._name_unfinished(len(self._shards)), metadata={"format": "pt"})
        self._shards.append(list(tensors))
        self._bytes += sum(tensor.nbytes for tensor in tensors.values())

    def finish(self) -> None:
        """Give the shards their names, which say how many there are, and write the index."""
        count = len(self._shards)
        files = [f"model-{number + 1:05d}-of-{count:05d}.safetensors" for number in range(count)]
        if count == 1:
            files = ["model.safetensors"]  # as Hugging Face names a model in one file
        weight_map: dict[str, str] = {}
        for number, (names, file) in enumerate(zip(self._shards, files, strict=True)):
            self._name_unfinished(number).rename(self._folder / file)
            weight_map |= dict.fromkeys(names, file)
        if count > 1:
            index = {"metadata": {"total_size": self._bytes}, "weight_map": weight_map}
            text = json.dumps(index, indent=2, sort_keys=True) + "\n"
            (self._folder / _INDEX_FILE).write_text(text, encoding="utf-8")

    def _name_unfinished(self, number: int) -> Path:
        return self._folder / f"shard-{number:05d}.safetensors"


def _copy_description(source: Path, folder: Path, dtype: torch.dtype) -> None:
    """Copy everything but the weights, and say in the configuration which format these have."""
    for file in source.iterdir():
        is_kept = file.suffix in _KEPT_SUFFIXES or file.name.startswith(_KEPT_NAMES)
        if file.is_file() and is_kept and not file.name.endswith(".index.json"):
            shutil.copyfile(file, folder / file.name)
    if (source / _KEPT_FOLDER).is_dir():
        shutil.copytree(source / _KEPT_FOLDER, folder / _KEPT_FOLDER)
    path = source / _CONFIG_FILE
    config = parse_json(path.read_bytes(), str(path))
    # Transformers before version 5 knows the first name only.
    key = "torch_dtype" if "torch_dtype" in config else "dtype"
    config[key] = str(dtype).removeprefix("torch.")
    text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    (folder / _CONFIG_FILE).write_text(text, encoding="utf-8")


def replace_model(folder: Path, target: Path) -> None:
    """Give a complete model its name; an earlier one under it is moved away first, then deleted."""
    for path in [*folder.rglob("*"), folder]:
        if path.is_file():
            path.chmod(FILE_MODE)
        flush_to_disk(path)
    replaced = _name_replaced(target)
    if target.exists():
        target.rename(replaced)
    try:
        folder.rename(target)
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            replaced.rename(target)
        raise
    flush_to_disk(target.parent)
    shutil.rmtree(replaced, ignore_errors=True)


def restore_replaced(target: Path) -> None:
    """Clear up after a save that was killed: its unfinished folder goes, and an earlier model that
    it had moved away comes back."""
    for folder in target.parent.glob(f".{target.name}.*.partial"):
        shutil.rmtree(folder)
    replaced = _name_replaced(target)
    if replaced.exists():
        if target.exists():
            shutil.rmtree(replaced)
        else:
            replaced.rename(target)


def _name_replaced(target: Path) -> Path:
    """Where an earlier model is while the new one takes its name."""
    return target.with_name(f".{target.name}.replaced")
