"""The demo's model server: answers with whatever the alias names, keeps answering when the registry is away, refuses bad questions."""

import asyncio
from pathlib import Path

import httpx
import numpy as np
import pytest

from retrain.demo.server import Served, application
from retrain.types import Reason, Transient


class Registry:
    def __init__(self) -> None:
        self.named: dict[str, str] = {"champion": "1"}
        self.is_away = False

    def aliases(self, model: str) -> dict[str, str]:
        assert model == "sentiment"
        if self.is_away:
            raise Transient(Reason.UNAVAILABLE, "away")
        return self.named

    def fetch(self, model: str, version: str, into: Path) -> Path:
        return into / f"{model}-{version}"


class Scorer:
    def __init__(self, adapter: Path) -> None:
        self.p = {"sentiment-1": 0.9, "sentiment-2": 0.2}[adapter.name]

    def score(self, texts: list[str]) -> np.ndarray:
        return np.tile(np.asarray([1 - self.p, self.p], dtype=np.float32), (len(texts), 1))


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def served(registry: Registry, tmp_path: Path) -> Served:
    return Served(versions=registry, model="sentiment", folder=tmp_path, load=Scorer)  # type: ignore[arg-type]  # fakes


def ask(served: Served, method: str, path: str, content: bytes = b"") -> httpx.Response:
    async def once() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(application(served)), base_url="http://test") as client:
            return await client.request(method, path, content=content)

    return asyncio.run(once())


def test_the_alias_decides_which_version_answers(served: Served, registry: Registry) -> None:
    served.follow()
    answer = ask(served, "POST", "/predict", b'{"texts": ["a", "b"]}').json()
    assert answer["version"] == "1"
    assert [a["label"] for a in answer["answers"]] == ["positive", "positive"]
    registry.named = {"champion": "2"}
    served.follow()
    answer = ask(served, "POST", "/predict", b'{"texts": ["a"]}').json()
    assert (answer["version"], answer["answers"][0]["label"]) == ("2", "negative")
    assert answer["answers"][0]["scores"]["negative"] == pytest.approx(0.8, abs=1e-6)


def test_a_registry_that_is_away_or_names_nobody_leaves_the_version_answering(
    served: Served, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    served.follow()
    registry.is_away = True
    served.follow()
    served.follow()
    registry.is_away, registry.named = False, {}
    served.follow()
    assert ask(served, "GET", "/healthz").json() == {"version": "1"}
    assert capsys.readouterr().err.count("stays at version 1") == 1


def test_before_the_first_version_nobody_is_answered(served: Served, registry: Registry) -> None:
    registry.named = {}
    served.follow()
    assert ask(served, "GET", "/healthz").status_code == 503
    assert ask(served, "POST", "/predict", b'{"texts": ["a"]}').status_code == 503


@pytest.mark.parametrize(
    ("content", "status"),
    [(b"{", 400), (b'{"texts": []}', 400), (b'{"texts": "a"}', 400), (b'{"texts": ["a"], "x": 1}', 400), (b" " * (5 << 20), 413)],
)
def test_a_bad_question_is_refused(served: Served, content: bytes, status: int) -> None:
    served.follow()
    answer = ask(served, "POST", "/predict", content)
    assert answer.status_code == status
    assert answer.json()["error"]


def test_other_paths_are_not_there(served: Served) -> None:
    assert ask(served, "GET", "/predict").status_code == 404
