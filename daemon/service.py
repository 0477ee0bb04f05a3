"""The process: one port, one tick at a time, a clean end.

SIGTERM → the port closes → the running tick ends → the ledger closes. A training in progress is left alone: it is a process of its own
and is found again at the next start. A second signal ends at once (uvicorn's own rule).
"""

from __future__ import annotations

import asyncio
import fcntl
import importlib.util
import json
import math
import os
import signal
import socket
import sys
import threading
import time
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
import uvicorn
import uvloop
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from daemon import logs
from daemon.backup.restore import WORK
from daemon.wiring import build, ledger_url
from retrain.types import Permanent
from retrain.whole import write_whole

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from daemon.settings import Settings
    from daemon.wiring import Wired

log = structlog.get_logger()

_LOCK = ".lock"
_FOLDERS = ("adapters", "records", "references", "reports", "runs", "spool")
_SHUTDOWN_S = 20.0  # below Kubernetes' 30 s terminationGracePeriodSeconds


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Raises `SystemExit` with a sentence when it cannot start."""
    _only_ours()
    logs.to_stderr()
    usable(settings.data_dir)
    with _sole_owner(settings.data_dir), _bound(settings) as listener:
        uvloop.run(_serve(settings, listener))


def usable(data_dir: Path) -> None:
    """Makes the folder. `SystemExit` with a sentence when nothing can be written in it, or half of a backup is there."""
    if (data_dir / WORK).exists():  # nothing is written there
        sys.exit(f"retuned: a restore into {data_dir} did not come to its end: empty the folder and restore again")
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        (data_dir / _LOCK).touch()
    except OSError as e:
        sys.exit(f"retuned: cannot write in data_dir {data_dir}: {e.strerror}; it must be a folder of this user's own")
    for name in _FOLDERS:
        if (path := data_dir / name).exists() and not path.is_dir():
            sys.exit(f"retuned: {path} must be a folder and is none; move it away")


def _built(settings: Settings) -> Wired:
    """`SystemExit` with a sentence when what is there cannot be used."""
    try:
        return build(settings)
    except Permanent as e:
        said = e.detail
    except (DBAPIError, ArgumentError, ImportError) as e:  # of the URL without its password
        why = str(getattr(e, "orig", e)).strip()
        said = f"the ledger {make_url(ledger_url(settings)).render_as_string()} cannot be used: {why}"
    except OSError as e:
        said = f"cannot use data_dir {settings.data_dir}: {e}"
    sys.exit(f"retuned: {said}")


async def _serve(settings: Settings, listener: socket.socket) -> None:
    settings = settings.bound_to(listener.getsockname()[1])
    url = settings.http.listening
    wired = _built(settings)
    server = uvicorn.Server(
        uvicorn.Config(
            _with_ticks(wired.app, lambda: _ticking(wired, settings.tick_s)),
            http=wired.protocol,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            lifespan="on",
            timeout_graceful_shutdown=int(_SHUTDOWN_S / 2),
        ),
    )
    where = settings.data_dir / "service.json"
    write_whole(where, json.dumps({"url": url, "pid": os.getpid()}).encode())  # others wait for it
    log.info("service.listening", url=url, models=[m.name for m in settings.models], data_dir=str(settings.data_dir))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # uvicorn raises it once more when it has ended: then there is nothing left to stop
    try:
        await server.serve(sockets=[listener])
    finally:
        where.unlink(missing_ok=True)
        log.info("service.stopped")


def _with_ticks(app: Any, ticking: Callable[[], Any]) -> Callable[..., Awaitable[None]]:  # noqa: ANN401 (ASGI)
    """The same ASGI application, whose lifespan runs the ticks."""

    async def served(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 (ASGI)
        if scope["type"] == "lifespan":
            await _lifespan(receive, send, ticking)
        else:
            await app(scope, receive, send)

    return served


async def _lifespan(receive: Any, send: Any, ticking: Callable[[], Any]) -> None:  # noqa: ANN401 (ASGI)
    await receive()
    async with ticking():
        await send({"type": "lifespan.startup.complete"})
        await receive()
    await send({"type": "lifespan.shutdown.complete"})


@asynccontextmanager
async def _ticking(wired: Wired, tick_s: float) -> AsyncIterator[None]:
    """Ticks in one thread while the port is open; the running one is waited for at the end."""
    ended = threading.Event()
    thread = threading.Thread(target=_tick_until, args=(ended, wired, tick_s), name="ticks", daemon=True)  # a second signal waits for none
    thread.start()
    try:
        yield
    finally:
        ended.set()
        await asyncio.to_thread(thread.join)
        await asyncio.wait_for(asyncio.to_thread(wired.close), _SHUTDOWN_S / 2)


def _tick_until(ended: threading.Event, wired: Wired, tick_s: float) -> None:
    """One at once, then one each period; those that a long one missed are left out.

    By the monotonic clock: the one on the wall may be set back by hours (a machine starts with it wrong), and ticks must go on.
    """
    due = time.monotonic()
    while not ended.wait(due - time.monotonic()):
        _tick(wired)
        due += tick_s * max(1, math.ceil((time.monotonic() - due) / tick_s))


def _tick(wired: Wired) -> None:
    """The top of the supervised task: one bad tick is told and the next one tries again."""
    begun = time.perf_counter()
    try:
        wired.pipeline.tick(time.time())
    except Exception:
        wired.monitor.failed()
        log.exception("tick.failed")
    else:
        wired.monitor.ticked(time.time(), time.perf_counter() - begun)


@contextmanager
def _sole_owner(data_dir: Path) -> Iterator[None]:
    """Two services on one folder would fold every record twice: the second one is refused."""
    with (data_dir / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            sys.exit(f"retuned: another service uses {data_dir}; stop it or give this one a data_dir of its own")
        yield


@contextmanager
def _bound(settings: Settings) -> Iterator[socket.socket]:
    host, port = settings.http.host, settings.http.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    both = host == "::" and socket.has_dualstack_ipv6()  # as in a cluster that speaks either
    try:
        listener = socket.create_server((host, port), family=family, dualstack_ipv6=both, backlog=2048)
    except OSError as e:
        sys.exit(f"retuned: cannot listen on {host}:{port}: {e.strerror}; choose another http.port")
    with listener:
        yield listener


def _only_ours() -> None:
    """Another distribution (python-daemon, say) may own one of our package names: say so instead of failing oddly."""
    here = Path(__file__).parent.parent
    for name in ("daemon", "detectors", "retrain"):
        spec = importlib.util.find_spec(name)
        found = Path(spec.origin).parent.parent if spec is not None and spec.origin else None
        if found != here:
            sys.exit(f"retuned: the package {name!r} is taken from {found}, not from {here}; uninstall the other distribution")
