"""The shape of a language model, from its ``config.json``, and how many parameters it has.

Weights need not be on this machine. The shapes of the models that the shipped configurations name
are in ``public_shapes.json``, each with the page of its publisher that it is from.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from medr_ray.core.errors import DataError, MedrError
from medr_ray.core.json_text import parse_json

# Decoders whose layers are made alike: two RMS norms, attention with shared keys and values, and a
# gated MLP. The tests hold the counts for each of them against transformers and autograd.
PLANNED_FAMILIES = ("llama", "mistral", "qwen2", "qwen3")


@dataclass(frozen=True)
class ModelShape:
    """The sizes of a decoder. ``where`` says what they were read from.

    ``query_width`` and ``key_width`` are the widths of all query heads and of all key heads, as are
    those of the values. ``context`` is the number of positions that the model was made for.
    """

    where: str
    family: str
    hidden: int
    layers: int
    heads: int
    key_heads: int
    head_width: int
    intermediate: int
    vocabulary: int
    context: int
    is_tied: bool
    has_input_bias: bool  # of the query, key and value projections
    has_output_bias: bool  # of the projection after attention
    has_mlp_bias: bool
    has_head_norms: bool  # an RMS norm over each query and key head

    @property
    def query_width(self) -> int:
        return self.heads * self.head_width

    @property
    def key_width(self) -> int:
        return self.key_heads * self.head_width

    @property
    def linear_parameters(self) -> int:
        """The weights of a layer's matrices: what activations are multiplied by."""
        attention = self.hidden * (2 * self.query_width + 2 * self.key_width)
        return attention + 3 * self.hidden * self.intermediate

    @property
    def layer_parameters(self) -> int:
        """All weights of one layer."""
        count = self.linear_parameters + 2 * self.hidden
        if self.has_input_bias:
            count += self.query_width + 2 * self.key_width
        if self.has_output_bias:
            count += self.hidden
        if self.has_mlp_bias:
            count += 2 * self.intermediate + self.hidden
        if self.has_head_norms:
            count += 2 * self.head_width
        return count

    @property
    def vocabulary_parameters(self) -> int:
        """The table of embeddings; the output head is as large, and the same where it is tied."""
        return self.vocabulary * self.hidden

    @property
    def parameters(self) -> int:
        """All weights of the model, tied ones once."""
        tables = self.vocabulary_parameters * (1 if self.is_tied else 2)
        return self.layers * self.layer_parameters + tables + self.hidden

    @property
    def largest_tensor(self) -> int:
        """The parameters of its largest tensor."""
        return max(self.vocabulary_parameters, self.hidden * self.intermediate)

    def count_adapter_parameters(self, rank: int) -> int:
        """Weights of LoRA adapters of ``rank`` on all seven matrices of every layer: two thin
        matrices each (Hu et al. 2021, arXiv 2106.09685)."""
        inputs_and_outputs = 4 * self.hidden + 2 * self.query_width + 2 * self.key_width
        mlp = 3 * (self.hidden + self.intermediate)
        return self.layers * rank * (inputs_and_outputs + mlp)


def read_shape(config: Mapping[str, Any], where: str) -> ModelShape:
    """The shape that a ``config.json`` describes; ``where`` names it in messages.

    Raises DataError for a model that is made differently, or whose sizes are missing.
    """
    family = str(config.get("model_type"))
    if family not in PLANNED_FAMILIES or config.get("num_experts"):
        raise DataError(
            f"{where}: a model of type {family} has no plan; {', '.join(PLANNED_FAMILIES)} have one"
        )
    heads = _read_size(config, "num_attention_heads", where)
    hidden = _read_size(config, "hidden_size", where)
    has_bias = bool(config.get("attention_bias", False))
    return ModelShape(
        where=where,
        family=family,
        hidden=hidden,
        layers=_read_size(config, "num_hidden_layers", where),
        heads=heads,
        # Older files leave both out where they follow from the others.
        key_heads=int(config.get("num_key_value_heads") or heads),
        head_width=int(config.get("head_dim") or hidden // heads),
        intermediate=_read_size(config, "intermediate_size", where),
        vocabulary=_read_size(config, "vocab_size", where),
        context=_read_size(config, "max_position_embeddings", where),
        is_tied=bool(config.get("tie_word_embeddings", False)),
        # Qwen2 has these biases without a setting that says so.
        has_input_bias=has_bias or family == "qwen2",
        has_output_bias=has_bias,
        has_mlp_bias=bool(config.get("mlp_bias", False)),
        has_head_norms=family == "qwen3",
    )


def _read_size(config: Mapping[str, Any], key: str, where: str) -> int:
    value = config.get(key)
    if not isinstance(value, int) or value < 1:
        raise DataError(f"{where}: {key} is {value!r}, and a plan needs a number there")
    return value


def list_public_shapes() -> dict[str, ModelShape]:
    """The shapes that come with the package, by the name of the model."""
    text = resources.files("medr_ray.training.planner").joinpath("public_shapes.json").read_bytes()
    entries = parse_json(text, "public_shapes.json")
    return {name: read_shape(entry["config"], entry["source"]) for name, entry in entries.items()}


def find_shape(policy: str, config_file: Path | None = None) -> ModelShape:
    """The shape of the model ``policy`` (as ``models.policy``): from ``config_file`` where it is
    given, else from the model's folder, else from the public shape of its folder's name.

    Raises MedrError where none of them is there, with what to do.
    """
    # Imported here, because only a model's folder needs it.
    from medr_ray.engines.weights import model_path

    if config_file is not None:
        return _read_shape_file(config_file)
    try:
        return _read_shape_file(model_path(policy) / "config.json")
    except MedrError as error:
        shapes = list_public_shapes()
        name = policy.removeprefix("embedded:").rstrip("/").rpartition("/")[2]
        if isinstance(error, DataError) or name not in shapes:
            raise MedrError(
                f"{error}; a plan needs its config.json (--model-config FILE), or a folder that is "
                f"named as one of {', '.join(shapes)}"
            ) from None
        return shapes[name]


def _read_shape_file(path: Path) -> ModelShape:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise MedrError(f"{path}: {error.strerror}") from None
    config = parse_json(content, str(path))
    if not isinstance(config, dict):
        raise DataError(f"{path}: no JSON object")
    return read_shape(config, str(path))
