"""A scenario of embeddings: latent semantic vectors of the corpora's texts, with no model to download."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.bench.detectors.case import Scenario
from tests.bench.detectors.texts import corpora, turning

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DIMENSIONS_N = 32


@cache
def _embedded() -> NDArray[np.float64]:
    """Of every text its weighted words in 32 dimensions, length 1: Deerwester et al. 1990; shape (texts, 32)."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(min_df=5, sublinear_tf=True).fit_transform(corpora()[0])
    vectors = TruncatedSVD(_DIMENSIONS_N, algorithm="arpack", random_state=0).fit_transform(words)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0.0, length, 1.0))


def _scenario(name: str, says: str, before: str, after: str, most: float) -> Scenario:
    sizes: dict[str, Any] = {"pane_n": 32, "reference_n": 500, "null": (48, 60), "drift": (48, 8, 20)}
    return Scenario(
        id=name,
        says=says,
        kinds={"vector": "embedding"},
        draw=lambda rng, much: {"vector": _embedded()[turning(rng, much, before, after, most)]},
        ours={"retuned embedding_witness": {"embedding_witness": {}}},
        **sizes,
    )


SCENARIOS = (
    _scenario(
        "embedding-movies-amazon-third",
        "vectors of 32 dimensions of movie reviews, then a third of them of product reviews",
        "movies",
        "amazon",
        0.33,
    ),
    _scenario(
        "embedding-amazon-nyt-half",
        "vectors of 32 dimensions of product reviews, then half of them of editorials",
        "amazon",
        "nyt",
        0.5,
    ),
)
