"""The demo's driver: what it posts, which labels it withholds, how it meets servers that are away or refuse."""

import json
from collections.abc import Callable

import httpx
import pytest

from daemon.demo.traffic import Driver, Pace, Question
from retrain.types import Permanent, Transient

QUESTIONS = [
    Question(id=f"q{i}", text=f"text {i}", label=("negative", "positive")[i % 2], segments={"age_band": "under_40"}) for i in range(400)
]


class Servers:
    """Both servers at once: the model server says "positive" to everything, the service keeps what it is sent."""

    def __init__(self) -> None:
        self.records: list[dict] = []
        self.labels: list[dict] = []
        self.answers: list[Callable[[], httpx.Response]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.answers:
            return self.answers.pop(0)()
        if request.url.path == "/predict":
            n = len(json.loads(request.content)["texts"])
            answer = {"label": "positive", "scores": {"negative": 0.25, "positive": 0.75}}
            return httpx.Response(200, json={"version": "1", "answers": [answer] * n})
        items = [json.loads(line) for line in request.content.decode().split("\n")]
        {"/v1/records": self.records, "/v1/labels": self.labels}[request.url.path].extend(items)
        return httpx.Response(200, json={"accepted": len(items), "rejected": []})


@pytest.fixture
def servers() -> Servers:
    return Servers()


@pytest.fixture
def driver(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> Driver:
    monkeypatch.setattr("daemon.demo.traffic.time.sleep", lambda _: None)
    client = httpx.Client(transport=httpx.MockTransport(servers), base_url="http://test")
    return Driver(model="m", service=client, server=client, label_delay_s=2.0)


def test_a_record_says_what_was_asked_answered_and_by_which_version(driver: Driver, servers: Servers) -> None:
    driver.send(QUESTIONS[:2], "before", 1000.5)
    assert servers.records[0] == {
        "id": "q0",
        "model": "m",
        "version": "1",
        "at": "1970-01-01T00:16:40.500000+00:00",
        "inputs": {"text": "text 0"},
        "output": {"label": "positive", "scores": {"negative": 0.25, "positive": 0.75}},
        "segments": {"age_band": "under_40"},
    }
    assert [(s.label, s.predicted, s.phase) for s in driver.sent] == [
        ("negative", "positive", "before"),
        ("positive", "positive", "before"),
    ]


def test_labels_of_about_sixty_percent_come_later_and_never_those_that_are_withheld(driver: Driver, servers: Servers) -> None:
    driver.send(QUESTIONS, "before", 1000.0)
    assert driver.deliver(1000.9) == sum(s.is_labelled for s in driver.sent)
    assert not servers.labels
    assert driver.deliver(1003.1) == 0
    assert {item["id"] for item in servers.labels} == {s.id for s in driver.sent if s.is_labelled}
    assert 200 < len(servers.labels) < 280
    truth = {q.id: q.label for q in QUESTIONS}
    assert all(item["label"] == truth[item["id"]] and item["source"] == "people" for item in servers.labels)


def test_a_full_service_is_asked_again_and_the_record_counts_once(driver: Driver, servers: Servers) -> None:
    servers.answers = [lambda: httpx.Response(503, text="full")]
    driver.send(QUESTIONS[:1], "before", 0.0)
    assert len(driver.sent) == len(servers.records) == 1


def test_a_server_that_stays_away_is_told(driver: Driver, servers: Servers) -> None:
    def away() -> httpx.Response:
        raise httpx.ConnectError("refused")

    servers.answers = [away] * 5
    with pytest.raises(Transient, match="/predict"):
        driver.send(QUESTIONS[:1], "before", 0.0)
    assert not driver.sent


def test_a_refused_record_stops_the_demo_with_the_service_s_words(driver: Driver, servers: Servers) -> None:
    driver.send([], "before", 0.0)
    rejected = {"accepted": 0, "rejected": [{"path": "at", "rule": "at most 300 s ahead"}]}
    predict = {"version": "1", "answers": [{"label": "positive", "scores": {"positive": 1.0}}]}
    servers.answers = [lambda: httpx.Response(200, json=predict), lambda: httpx.Response(200, json=rejected)]
    with pytest.raises(Permanent, match="at most 300 s ahead"):
        driver.send(QUESTIONS[:1], "before", 0.0)
    servers.answers = [lambda: httpx.Response(400, text="no such model")]
    with pytest.raises(Permanent, match="no such model"):
        driver.send(QUESTIONS[:1], "before", 0.0)


def test_the_pace_is_kept_and_a_stall_is_not_caught_up() -> None:
    pace = Pace(rate=40.0, most=32)
    assert pace.due(0.0) == 0
    assert sum(pace.due(0.2 * i) for i in range(1, 51)) in (399, 400)
    assert pace.due(1000.0) == 32
