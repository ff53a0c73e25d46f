"""Sentence embeddings of the embedded model."""

import numpy as np
import pytest

from medr_ray.core.errors import MedrError
from medr_ray.engines.encoder import Encoder
from medr_ray.engines.weights import model_path

MODEL = "embedded:all-minilm-l6-v2"
TEXTS = ["Marfan syndrome", "A disorder of connective tissue with tall stature and aortic dilatation, caused by FBN1",
         "Marfan's disease", "Treatment of bacterial pneumonia"]


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
