"""``/v1/embeddings``: vectors of texts by the retriever's encoder."""

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response

from medr_ray.serving.embeddings import ENCODER_NAME, EmbeddingBackend
from medr_ray.serving.http.errors import HttpRefusal
from medr_ray.serving.http.openapi import describe_errors
from medr_ray.serving.http.schemas.embedding import (
    EmbeddingList,
    EmbeddingRequest,
    build_embedding_list,
)


def add_embeddings(app: FastAPI, encoder: EmbeddingBackend | None) -> None:
    """Register the route; without an index, whose encoder it is, it answers 404."""

    @app.post(
        "/v1/embeddings",
        responses={200: {"model": EmbeddingList}, **describe_errors(404)},
    )
    async def create_embeddings(request: EmbeddingRequest) -> Response:
        if encoder is None:
            message = "this run has no index, whose encoder makes the vectors: run the index stage"
            raise HttpRefusal(404, message, "no_index")
        if request.model != ENCODER_NAME:
            message = f"no encoder {request.model!r} is served; there is {ENCODER_NAME}"
            raise HttpRefusal(404, message, "model_not_found", "model")
        embeddings = await encoder.embed(request.list_texts(), request.input_type)
        dimensions = embeddings.vectors.shape[1]
        if request.dimensions not in (None, dimensions):
            message = f"the encoder has {dimensions} dimensions, and its vectors cannot be cut"
            raise HttpRefusal(400, message, "unsupported_parameter", "dimensions")
        return JSONResponse(build_embedding_list(request, embeddings))
