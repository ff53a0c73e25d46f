"""The vectors of a table in memory: which rows have the largest cosines with a query's vector.

All vectors are unit vectors, so a cosine is a product. Guaranteed: the search is exact, and the
cosines and rows of a query do not depend on the queries that are compared with it.

LanceDB reads and compares every vector anew for each query, which takes ten times as long, and for
queries that come together once for each of them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_MOST_BYTES = 512 * 2**20  # of vectors in memory: 350,000 of MiniLM's

Vector = npt.NDArray[np.float32]


class VectorMatrix:
    """The vectors of the rows that have one; threads may share it."""

    def __init__(self, row_ids: npt.NDArray[np.uint64], vectors: npt.NDArray[np.float32]) -> None:
        # In the order of the rows: a scan of the table gives them in any.
        order = np.argsort(row_ids)
        self._row_ids = row_ids[order]
        self._vectors = np.ascontiguousarray(vectors[order])
        size = vectors.shape[1]
        # Two products of unit vectors that are sums of ``size`` rounded terms differ by at most
        # this much from their true difference.
        self._rounding = 2 * size * float(np.finfo(np.float32).eps)

    @classmethod
    def load(cls, table: Any, count: int, most_bytes: int = _MOST_BYTES) -> "VectorMatrix | None":
        """The ``count`` vectors of a table; None where they take more than ``most_bytes``."""
        size = table.schema.field("vector").type.list_size
        if count * size * np.dtype(np.float32).itemsize > most_bytes:
            return None
        query = table.search().where("vector IS NOT NULL").select(["vector"]).with_row_id(True)
        return cls.from_table(query.limit(count).to_arrow())

    @classmethod
    def from_table(cls, rows: pa.Table) -> "VectorMatrix":
        """The vectors of rows with the columns ``vector``, none of them null, and ``_rowid``."""
        size = rows.schema.field("vector").type.list_size
        numbers = [chunk.flatten() for chunk in rows["vector"].chunks]
        vectors = pa.chunked_array(numbers, pa.float32()).to_numpy().reshape(-1, size)
        return cls(rows["_rowid"].to_numpy(), vectors)

    def multiply(self, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Products of queries' vectors with all rows, shape (queries, rows), each rounded a little
        differently when others are compared with it."""
        products: npt.NDArray[np.float32] = vectors @ self._vectors.T
        return products

    def list_nearest(
        self,
        vector: Vector,
        products: Vector,
        limit: int,
        kept: npt.NDArray[np.bool_] | None = None,
    ) -> tuple[list[int], list[int]]:
        """Rows by number: those that are among the ``limit`` nearest, and those with one cosine
        that share the places which are left.

        ``products`` are those of the vector (see ``multiply``), ``kept`` says of each row whether
        it may be taken.
        """
        if kept is not None:
            products = np.where(kept, products, -np.inf)
        count = len(products) if kept is None else int(np.count_nonzero(kept))
        limit = min(limit, count)
        if not limit:
            return [], []
        # The rounded products say which rows can be among the nearest, exact ones which are.
        least = np.partition(products, -limit)[-limit] - self._rounding
        near = np.flatnonzero(products >= least)
        cosines = self._compute_products(vector, near)
        last = np.partition(cosines, -limit)[-limit]
        better = self._row_ids[near[cosines > last]].tolist()
        tied = self._row_ids[near[cosines == last]].tolist()
        return better, tied

    def compute_cosines(self, vector: Vector, row_ids: Sequence[int]) -> list[float | None]:
        """The cosine of each row with the vector, None where the row has no vector."""
        if not len(self._row_ids):
            return [None] * len(row_ids)
        numbers = np.asarray(row_ids, dtype=np.uint64)
        places = np.minimum(np.searchsorted(self._row_ids, numbers), len(self._row_ids) - 1)
        cosines: list[float | None] = self._compute_products(vector, places).tolist()
        for i in np.flatnonzero(self._row_ids[places] != numbers).tolist():
            cosines[i] = None
        return cosines

    def mark_rows(self, row_ids: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """Whether each row with a vector is one of these."""
        return np.isin(self._row_ids, row_ids)

    def _compute_products(self, vector: Vector, places: npt.NDArray[np.intp]) -> Any:
        """In double precision and row by row, so that equal vectors have equal products."""
        chosen = self._vectors[places].astype(np.float64)
        return np.einsum("rd,d->r", chosen, vector.astype(np.float64))
