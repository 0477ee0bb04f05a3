"""Scenarios of texts: the corpora that vaderSentiment carries. Rivals that read no text get four figures of each text to watch."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from retrain.demo.corpora import FILES, read_corpus
from tests.bench.detectors.case import Scenario
from tests.bench.environments import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from tests.bench.detectors.case import Rows

    Floats = NDArray[np.float64]

_KINDS = {"text": "text", "length": "numeric", "word_length": "numeric", "capitals": "numeric", "marks": "numeric"}
_OURS: dict[str, dict[str, dict[str, Any]]] = {
    "retuned text_figures": {"text_figures": {}},
    "retuned text_witness": {"text_witness": {}},
}


@cache
def corpora() -> tuple[list[str], dict[str, NDArray[np.int64]]]:
    """(all texts, corpus -> numbers of its texts)."""
    archive = next(Path(ROOT / ".cache" / "corpora").glob("vader*.tar.gz"))
    texts: list[str] = []
    numbers = {}
    for name in FILES:
        rows = [row.text for row in read_corpus(archive, name)]
        numbers[name] = np.arange(len(texts), len(texts) + len(rows))
        texts += rows
    return texts, numbers


def _vocabularies() -> Mapping[str, Sequence[str]]:
    return {"text": corpora()[0]}


@cache
def _figures() -> dict[str, Floats]:
    """Of every text: characters, characters a word, share of capitals, share of punctuation."""
    texts = corpora()[0]
    counts = np.array([[len(t), len(t.split()), sum(map(str.isupper, t)), sum(not c.isalnum() and c != " " for c in t)] for t in texts])
    length = counts[:, 0].astype(np.float64)
    return {"length": length, "word_length": length / counts[:, 1], "capitals": counts[:, 2] / length, "marks": counts[:, 3] / length}


def turning(rng: np.random.Generator, much: Floats, before: str, after: str, most: float) -> NDArray[np.int64]:
    """Numbers of texts of one corpus, then a share of another; none twice in a stream."""
    numbers = corpora()[1]
    first, second = (rng.permutation(numbers[name])[np.arange(len(much)) % len(numbers[name])] for name in (before, after))
    return np.where(rng.random(len(much)) < most * much, second, first)


def _read(before: str, after: str, most: float) -> Callable[[np.random.Generator, Floats], Rows]:
    def draw(rng: np.random.Generator, much: Floats) -> Rows:
        taken = turning(rng, much, before, after, most)
        return {"text": taken, **{name: values[taken] for name, values in _figures().items()}}

    return draw


def _scenario(name: str, says: str, draw: Callable[[np.random.Generator, Floats], Rows]) -> Scenario:
    sizes: dict[str, Any] = {"pane_n": 32, "reference_n": 500, "null": (10, 60), "drift": (14, 8, 20)}
    return Scenario(id=name, says=says, kinds=_KINDS, vocabularies=_vocabularies, draw=draw, ours=_OURS, **sizes)


SCENARIOS = (
    _scenario("text-movies-tweets", "movie reviews, then tweets", _read("movies", "tweets", 1.0)),
    _scenario("text-amazon-nyt-half", "product reviews, then half of them editorials", _read("amazon", "nyt", 0.5)),
    _scenario("text-movies-amazon-third", "movie reviews, then a third of them product reviews", _read("movies", "amazon", 0.33)),
)
