"""What the checks run on: a device, and models with random weights."""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from medr_ray.core.json_text import parse_json

_SHAPE = "Qwen3-0.6B"
# A model of some 100,000 parameters that goes through the same code, for a CPU.
_TINY_SIZES = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "intermediate_size": 128,
    "vocab_size": 512,
}
# What the tokenizer is trained on; what it says does not matter, tokens are drawn at random.
_TOKENIZER_TEXT = ["<think> look it up </think> <answer> autosomal dominant </answer>"]
_END_OF_TURN = "<|im_end|>"
_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclass(frozen=True)
class SmokeSetup:
    """``gpus`` GPUs, 0 for a CPU, on which models are ``tiny``. ``folder`` holds the model, and the
    files through which processes find each other."""

    folder: Path
    gpus: int
    tiny: bool

    @property
    def model_dir(self) -> Path:
        return self.folder / "model"

    @property
    def device(self) -> str:
        return "cuda" if self.gpus else "cpu"

    @property
    def shape_name(self) -> str:
        return "tiny" if self.tiny else _SHAPE

    @property
    def world(self) -> int:
        """Workers that share a model: one a GPU, and two on a CPU, so that they do share it."""
        return self.gpus or 2


def read_model_config(tiny: bool) -> dict[str, Any]:
    """The ``config.json`` of the model that is checked."""
    file = resources.files("medr_ray.training.planner").joinpath("public_shapes.json")
    config = dict(parse_json(file.read_bytes(), "public_shapes.json")[_SHAPE]["config"])
    return config | _TINY_SIZES if tiny else config


def build_model(setup: SmokeSetup) -> None:
    """Write the model with random weights, and a tokenizer of single bytes."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|im_start|>", _END_OF_TURN],
        show_progress=False,
        initial_alphabet=alphabet,
    )
    raw.train_from_iterator(_TOKENIZER_TEXT, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token=_END_OF_TURN, chat_template=_TEMPLATE
    )
    config = AutoConfig.for_model(
        **read_model_config(setup.tiny), bos_token_id=None, eos_token_id=tokenizer.eos_token_id
    )
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(setup.model_dir)
    tokenizer.save_pretrained(setup.model_dir)
