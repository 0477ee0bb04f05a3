"""How a demo begins: the first version, the YAML, the service and the model server."""

from __future__ import annotations

import json
import shutil
import socket
from contextlib import closing
from typing import TYPE_CHECKING

import httpx

from daemon.demo import config as configuration
from daemon.demo.stage import MODEL, First, Live
from daemon.demo.traffic import Driver, read_questions
from daemon.demo.watcher import Watcher
from retrain.types import Permanent, Reason

if TYPE_CHECKING:
    from pathlib import Path

    from daemon.demo.children import Children
    from daemon.demo.stage import Stage

_MARKER = "demo.json"
_FULL_AFTER = 2400
"""Records between shift and promotion with which the YAML's sizes are the whole ones."""
_DETECTION_S = 8.0
"""Records of about the first seconds after the shift are gone before the incident opens: a small corpus can't make up for them."""


def fresh(out: Path) -> Path:
    """An empty folder, absolute. One that an earlier demo made is emptied; any other that holds something is refused."""
    out = out.resolve()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        if not (out / _MARKER).is_file():
            raise Permanent(Reason.REFUSED, f"{out} is not empty and no demo made it; give --out another folder")
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / _MARKER).write_text('{"made_by": "retuned demo"}\n')
    return out


def train_first(stage: Stage) -> First:
    """Data, version 1, its references: `python -m retrain.demo.first`, followed by its progress file."""
    o = stage.options
    stage.children.start(
        "first",
        *("retrain.demo.first", "--dir", str(stage.out), "--source", o.source, "--target", o.target, "--shift", o.shift),
        *("--labels", o.labels, "--seed", str(o.seed), "--archive", str(o.archive), "--base", o.base_model, "--model", MODEL),
        *("--epochs", str(o.first_epochs), "--learning-rate", str(o.learning_rate)),
    )
    progress = stage.out / "first" / "progress.jsonl"
    stage.children.wait(
        "the first training",
        lambda: stage.children.finished("first"),
        timeout_s=o.patience_s,
        meanwhile=lambda: _show(stage, progress),
    )
    made = json.loads((stage.out / "first.json").read_text())
    questions = {part: read_questions(stage.out / "data" / f"{part}.ndjson") for part in ("before", "after", "promoted")}
    stage.view.tell(f"version {made['version']} is registered in MLflow, alias champion")
    return First(version=str(made["version"]), labels=made["labels"], questions=questions)


def _show(stage: Stage, progress: Path) -> None:
    """The last whole line of a training's progress file."""
    if not progress.exists():
        return
    lines = progress.read_text().split("\n")[:-1]
    last = json.loads(lines[-1]) if lines else {}
    if {"step", "steps", "loss"} <= set(last):
        stage.view.advance(last["step"], last["steps"], f"step {last['step']} of {last['steps']}, loss {last['loss']:.3f}")


def start(stage: Stage, first: First) -> Live:
    """Write the YAML, start both servers, wait until they answer."""
    o, children = stage.options, stage.children
    n, lost = len(first.questions["after"]), _DETECTION_S * o.rate
    config = configuration.Config(
        out=stage.out,
        port=_free_port(),
        model=MODEL,
        labels=first.labels,
        base_model=o.base_model,
        rate=o.rate,
        scale=min(1.0, max(0.0, n - lost) / (_FULL_AFTER - lost)) if o.shift != "none" else 1.0,
        epochs=o.epochs,
        learning_rate=o.learning_rate,
        gate_alpha=o.gate_alpha,
        seed=o.seed + 1,
        deadline_s=60.0 + 3 * n / o.rate,
    )
    path = configuration.write(config)
    children.start("model-server", "retrain.demo.server", "--dir", str(stage.out), "--base", o.base_model, "--model", MODEL, threads=1)
    children.start("service", "daemon", "serve", "--config", str(path))
    service = httpx.Client(base_url=f"http://127.0.0.1:{config.port}", timeout=10.0)
    children.wait("the service's start", lambda: _is_up(service, "/readyz"), timeout_s=60.0, meanwhile=children.check)
    children.wait("the model server's start", lambda: _port(children) is not None, timeout_s=120.0, meanwhile=children.check)
    server = httpx.Client(base_url=f"http://127.0.0.1:{_port(children)}", timeout=60.0)
    stage.view.tell(f"the service answers on {service.base_url}, the model server on {server.base_url}")
    return Live(
        driver=Driver(model=MODEL, service=service, server=server, label_delay_s=o.label_delay_s, seed=o.seed),
        watcher=Watcher(model=MODEL, service=service),
        config=config,
    )


def _port(children: Children) -> int | None:
    """From the model server's first line, {"port": …}; None until it is written."""
    for line in children.log("model-server").split("\n")[:-1]:
        if line.startswith('{"port"'):
            return int(json.loads(line)["port"])
    return None


def _is_up(client: httpx.Client, path: str) -> bool:
    try:
        return client.get(path).is_success
    except httpx.TransportError:
        return False


def _free_port() -> int:
    """Any that nobody has: several demos may run at once."""
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
