"""The one place that knows concrete classes: settings in, everything joined out."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from daemon.act.aliases import Aliases
from daemon.act.executors.kubernetes import KubernetesExecutor
from daemon.act.executors.local import LocalExecutor
from daemon.act.keeper import Keeper
from daemon.act.notify import Notify
from daemon.act.outbox import Deliverer
from daemon.act.report import Reporter
from daemon.act.runs import LogRows, Runs
from daemon.act.send import Sender, targets_of
from daemon.act.step import Ports
from daemon.capture.connections import most_connections
from daemon.capture.frames import Mark
from daemon.capture.http import Ingest, IngestPort, Limits
from daemon.capture.items import Label, Record
from daemon.capture.sampling import included
from daemon.capture.small import small_requests
from daemon.capture.spool import Spool
from daemon.capture.wire import parse_labels
from daemon.health import Monitor
from daemon.judge import Judge
from daemon.learn import Learner
from daemon.operations import ByPerson
from daemon.pipeline import Pipeline
from daemon.show.api import create_api
from daemon.store.apart import Apart
from daemon.store.disk import Disk
from daemon.store.embed.encoders import Encoders
from daemon.store.embed.panes import Embeddings
from daemon.store.embed.references import References
from daemon.store.hold import Hold
from daemon.store.intake import Intake, spool_mark
from daemon.store.ledger import Ledger
from daemon.store.migrate import revision
from daemon.store.panes import Windows
from daemon.store.ports import Feed
from retrain.types import Permanent, Reason
from retrain.versions.mlflow import MlflowVersions
from retrain.whole import write_whole

if TYPE_CHECKING:
    import asyncio
    from pathlib import Path

    from daemon.act.executors.port import Executor
    from daemon.settings import Settings

_LAST_MESSAGES_S = 5.0
_SALTS = ("sampling", "split")
_UNSETTLED_S = 3600.0


@dataclass(frozen=True, kw_only=True)
class Wired:
    """What the process runs: the ASGI app and the pipeline that is ticked."""

    app: Any
    protocol: type[asyncio.Protocol]
    """What uvicorn speaks HTTP with."""
    pipeline: Pipeline
    monitor: Monitor
    ledger: Ledger
    spool: Spool
    sender: Sender
    encoders: Encoders

    def close(self) -> None:
        """The port is closed and no tick runs: end the intake and the spool, let go what is on its way to people, then the ledger."""
        self.encoders.close()
        self.pipeline.intake.close()
        self.spool.close()
        self.sender.close(_LAST_MESSAGES_S, time.time())
        self.ledger.close()


def ledger_url(settings: Settings) -> str:
    """The ledger's SQLAlchemy URL: SQLite in data_dir unless the settings name another."""
    return settings.ledger or f"sqlite:///{(settings.data_dir / 'ledger.db').resolve()}"


def build(settings: Settings) -> Wired:
    """Open what is there (or make it) and join it. The ledger is migrated; `Permanent` when it is lost or of a newer version."""
    data_dir = settings.data_dir
    data_dir.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(ledger_url(settings))
    _not_lost(ledger, data_dir)
    ledger.migrate()
    salts = salts_of(data_dir)
    with ledger.read() as tx:
        spool = Spool(data_dir / "spool", consumed=Mark(*spool_mark(tx)))
    hold = Hold(data_dir)
    feed = Feed(
        read=spool.read,
        release=partial(_release, spool, hold),
        parse_labels=parse_labels,
        included=partial(included, salt=salts["sampling"]),
    )
    encoders = Encoders(settings.models)
    intake = Intake(settings, ledger, feed, data_dir, Embeddings(settings.models, encoders, salt=salts["sampling"]))
    names = frozenset(m.name for m in settings.models)
    own = (spool.folder, *(() if settings.ledger else (data_dir / "ledger.db",)))
    disk = Disk(data_dir, settings.disk, unread_bytes=spool.unread_bytes, own=own)
    port = IngestPort(
        spool=spool,
        models=lambda: names,
        now=time.time,
        refusal=disk.refusal,
        limits=Limits(max_body_bytes=settings.http.max_body_bytes, max_batch_n=settings.http.max_batch_n, future_s=settings.future_s),
    )
    monitor = Monitor(port.counts, spool, intake, disk, encoders)
    keeper = Keeper(settings, ledger, disk, hold, unsettled_s=_UNSETTLED_S)
    sender = Sender(ledger=ledger, targets=targets_of(settings.notify.urls), retry_s=settings.notify.retry_h * 3600.0)
    pipeline = _pipeline(settings, ledger, intake, monitor, keeper, sender=sender, split_salt=salts["split"], encoders=encoders)
    api = create_api(ByPerson(pipeline), settings, ledger, ingest={"/v1/records": Record, "/v1/labels": Label})
    app = Ingest(port, otherwise=api)
    return Wired(
        app=app,
        protocol=small_requests(app, most_n=most_connections()),
        pipeline=pipeline,
        monitor=monitor,
        ledger=ledger,
        spool=spool,
        sender=sender,
        encoders=encoders,
    )


def _pipeline(
    settings: Settings,
    ledger: Ledger,
    intake: Intake,
    monitor: Monitor,
    keeper: Keeper,
    *,
    sender: Sender,
    split_salt: bytes,
    encoders: Encoders,
) -> Pipeline:
    """Decide and act."""
    executor = executor_of(settings)
    versions = MlflowVersions(settings.registry.tracking_uri, data_dir=settings.data_dir)
    rows = LogRows(settings.data_dir, {m.name: m for m in settings.models})
    ports = Ports(ledger=ledger, versions=versions, executor=executor, rows=rows, data_dir=settings.data_dir)
    apart = Apart()
    aliases = Aliases(settings=settings, ledger=ledger, versions=versions, apart=apart)
    reporter = Reporter(settings=settings, ledger=ledger, executor=LocalExecutor())  # it needs the service's data, and no torch
    notify = Notify(ledger=ledger, targets=list(sender.targets), topics=settings.notify.on, url=settings.http.url)
    handlers = {"aliases": aliases.deliver, "notify": notify.deliver, "send": sender.deliver, "report": reporter.deliver}
    runs, outbox = Runs(ports, split_salt=split_salt), Deliverer(ledger=ledger, handlers=handlers)
    judge = Judge(settings, Windows(), References(encoders, settings.data_dir))
    monitor.watch(
        failures=(runs.failures, outbox.failures, apart.failures),
        troubles=lambda: apart.troubles,
        alias_lag_s=aliases.lag_s,
        blind=judge.blind,
        reference_notes=judge.notes,
        groups=judge.groups,
        kept_bytes=lambda: keeper.kept,
    )
    return Pipeline(
        settings=settings,
        ledger=ledger,
        intake=intake,
        learner=Learner(ledger, settings.data_dir),
        judge=judge,
        runs=runs,
        outbox=outbox,
        aliases=aliases,
        keeper=keeper,
        apart=apart,
        health=lambda: monitor.health(time.time()),
    )


def _release(spool: Spool, hold: Hold, before: Mark) -> None:
    """The spool lets go of what is in the ledger, unless a backup reads: then with the next tick after it."""
    with hold.deleting() as is_free:
        if is_free:
            spool.release(before)


def executor_of(settings: Settings) -> Executor:
    """Where retrainings run."""
    if settings.executor.kind == "local":
        return LocalExecutor()
    return KubernetesExecutor(settings.executor, data_dir=settings.data_dir)


def _not_lost(ledger: Ledger, data_dir: Path) -> None:
    """An empty ledger beside records is no beginning: what they are is known to another one."""
    with ledger.read() as tx:
        is_empty = revision(tx) is None
    if is_empty and next((data_dir / "records").rglob("*.parquet"), None) is not None:
        remedy = "restore a backup (docs/backup.md), name the ledger that was there, or give the service an empty data_dir to begin anew"
        raise Permanent(Reason.NOT_FOUND, f"the ledger is empty, and {data_dir / 'records'} holds records of another one: {remedy}")


def salts_of(data_dir: Path) -> dict[str, bytes]:
    """The installation's two secrets, made once: sampling and splitting must not share one (a split of a sample would be no split)."""
    path = data_dir / "secrets.json"
    if not path.exists():
        write_whole(path, json.dumps({name: secrets.token_hex(32) for name in _SALTS}).encode(), mode=0o600)
    try:
        held = json.loads(path.read_bytes())
        return {name: bytes.fromhex(held[name]) for name in _SALTS}
    except (ValueError, TypeError, KeyError) as e:
        remedy = "put it back from a backup; without it other records are sampled, and rows of one split may come into another"
        raise Permanent(Reason.BAD_DATA, f"{path} does not hold the two secrets that were made with it: {remedy}") from e
