"""Embeddings of the embedded model, and of any other encoder."""

from pathlib import Path

import numpy as np
import pytest
import torch

from medr_ray.core.errors import MedrError
from medr_ray.engines.encoder import Encoder, Pooling
from medr_ray.engines.weights import model_path

MODEL = "embedded:all-minilm-l6-v2"
TEXTS = [
    "Marfan syndrome",
    "A disorder of connective tissue with tall stature and aortic dilatation, caused by FBN1",
    "Marfan's disease",
    "Treatment of bacterial pneumonia",
]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    try:
        model_path(MODEL)
    except MedrError as error:
        pytest.skip(str(error))
    return Encoder(MODEL, batch=2, threads=1)


@pytest.mark.slow
def test_vectors_have_unit_length_and_the_order_of_the_input(encoder: Encoder) -> None:
    vectors = encoder.encode(TEXTS)
    assert vectors.shape == (4, 384)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    assert (np.sum(vectors * alone, axis=1) > 0.995).all()


@pytest.mark.slow
def test_what_means_the_same_is_near(encoder: Encoder) -> None:
    marfan, described, variant, pneumonia = encoder.encode(TEXTS)
    assert marfan @ variant > marfan @ pneumonia + 0.3
    assert marfan @ described > marfan @ pneumonia


@pytest.mark.slow
def test_no_text_gives_no_vector(encoder: Encoder) -> None:
    assert encoder.encode([]).shape == (0, 384)


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a BERT of random weights, as a published encoder is stored."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("bert")
    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        "marfan",
        "syndrome",
        "pneumonia",
        "query",
        "what",
        ":",
    ]
    (folder / "vocab.txt").write_text("\n".join(words))
    torch.manual_seed(0)
    BertModel(
        BertConfig(
            vocab_size=len(words),
            hidden_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
        )
    ).save_pretrained(folder)
    BertTokenizerFast(vocab_file=str(folder / "vocab.txt"), eos_token="[SEP]").save_pretrained(
        folder
    )
    return folder


FOREIGN = ["marfan syndrome", "pneumonia", "what marfan what marfan what syndrome"]


@pytest.mark.slow
@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_any_encoder_in_a_directory_is_pooled_as_it_was_trained(
    foreign: Path, pooling: Pooling
) -> None:
    encoder = Encoder(str(foreign), batch=3, pooling=pooling)
    vectors = encoder.encode(FOREIGN)
    assert (vectors.shape, encoder.dimensions) == ((3, 24), 24)
    expected = [
        state_of(encoder, text, pooling) for text in FOREIGN
    ]  # alone, so that nothing is padded
    assert np.sum(vectors * expected, axis=1) == pytest.approx([1.0] * 3, abs=2e-2)


def state_of(encoder: Encoder, text: str, pooling: str) -> np.ndarray:
    """The unit vector of the token state, or the mean of them, that the convention takes."""
    inputs = encoder._tokenizer(text, return_tensors="pt")
    with torch.inference_mode():
        states = (
            encoder._model(**inputs.to(encoder._device)).last_hidden_state[0].float().cpu().numpy()
        )
    state = {"mean": states.mean(0), "cls": states[0], "last": states[-1]}[pooling]
    return state / np.linalg.norm(state)


@pytest.mark.slow
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("pooling", ["cls", "last"])
def test_padding_is_passed_by_on_either_side(foreign: Path, pooling: Pooling, side: str) -> None:
    encoder = Encoder(str(foreign), batch=3, pooling=pooling)
    encoder._tokenizer.padding_side = side
    batch = encoder._tokenize_batch(FOREIGN)
    pooled_tokens = encoder._pool_states(batch["input_ids"].unsqueeze(-1), batch["attention_mask"])[
        :, 0
    ].tolist()
    expected = (
        encoder._tokenizer.cls_token_id if pooling == "cls" else encoder._tokenizer.eos_token_id
    )
    assert pooled_tokens == [expected] * 3


@pytest.mark.slow
def test_the_prefix_stands_in_front_and_long_texts_are_cut(foreign: Path) -> None:
    plain, prefixed = Encoder(str(foreign)), Encoder(str(foreign), prefix="query : ")
    assert prefixed.encode(["marfan"]) == pytest.approx(plain.encode(["query : marfan"]))
    assert prefixed.count_tokens(["marfan", "a"]) == plain.count_tokens(
        ["query : marfan", "query : a"]
    )
    cut = Encoder(str(foreign), max_tokens=4, pooling="last")
    (tokens,) = cut._tokenize_batch(["marfan syndrome what what what"])["input_ids"]
    assert len(tokens) <= 4
    assert tokens[-1] == cut._tokenizer.eos_token_id


@pytest.mark.slow
def test_a_model_that_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(MedrError, match=r"no config\.json"):
        Encoder(str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(MedrError, match="nobody/no-such-encoder"):
        Encoder("nobody/no-such-encoder")
