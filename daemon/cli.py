"""The command `retuned`. Fast to start: what a command needs is imported inside it."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daemon.client import Client
    from daemon.recorded import Recorded
    from daemon.settings import Settings

app = typer.Typer(
    name="retuned",
    help="Keeps fine-tuned models in tune: watches, retrains when it is worth it, proves the candidate, promotes it, rolls back.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

BAD_SETTINGS = 2
"""Exit code when the settings file cannot be used."""

_DEFAULT = Path("retuned.yaml")

Config = Annotated[Path, typer.Option("--config", "-c", help="The settings file.", envvar="RETUNED_CONFIG")]
Where = Annotated[
    str | None, typer.Option("--url", help="Where the service listens. Default: as --config's data_dir says.", envvar="RETUNED_URL")
]
Model = Annotated[str, typer.Argument(help="Name of the model.", show_default=False)]
Incident = Annotated[str, typer.Argument(help="Id of the incident, as `retuned incidents` shows it.", show_default=False)]
MaybeModel = Annotated[str | None, typer.Argument(help="Name of the model; all of them without it.", show_default=False)]
By = Annotated[str | None, typer.Option("--by", help="Your name, for the ledger. Default: the login name.", show_default=False)]
Because = Annotated[str, typer.Option("--because", help="Your reason, for the ledger.")]
Version = Annotated[str | None, typer.Option("--version", help="Which version.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


def _one_thread() -> None:
    """Monitoring runs beside models: its small matrices gain nothing from threads, which spin for each other on a busy machine."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when numpy loads; torch, in the trainer, has its own


@app.command()
def serve(*, config: Config = _DEFAULT) -> None:
    """Run the service until SIGTERM or Ctrl-C."""
    _one_thread()
    settings = _settings(config)
    from daemon import service  # noqa: PLC0415 (start-up time of every other command)

    service.run(settings)


@app.command()
def demo(
    *,
    out: Annotated[Path, typer.Option("--out", help="Folder for everything that the demo leaves behind.")] = Path("demo-out"),
    source: Annotated[
        str, typer.Option("--from", help="tweets | movies | amazon | nyt, or an NDJSON file of {id, text, label}.")
    ] = "tweets",
    target: Annotated[str, typer.Option("--to", help="What traffic turns to; likewise.")] = "movies",
    shift: Annotated[str, typer.Option("--shift", help="abrupt | none (traffic stays as it is: nothing may happen).")] = "abrupt",
    labels: Annotated[str, typer.Option("--labels", help="true | shuffled (after the shift: nothing may be promoted).")] = "true",
    seed: Annotated[int, typer.Option("--seed", help="Of splits, traffic and training.")] = 0,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the service and the model server running.")] = False,
) -> None:
    """See the whole loop on real text: drift, alarm, retraining, gates, promotion, recovery."""
    if shift not in ("abrupt", "none"):
        raise typer.BadParameter(f"must be abrupt or none, got {shift!r}", param_hint="--shift")
    if labels not in ("true", "shuffled"):
        raise typer.BadParameter(f"must be true or shuffled, got {labels!r}", param_hint="--labels")
    from daemon.demo.run import demo as play  # noqa: PLC0415 (start-up time of every other command)
    from daemon.demo.stage import Options  # noqa: PLC0415

    options = Options(
        out=out,
        source=source,
        target=target,
        shift="none" if shift == "none" else "abrupt",
        labels="shuffled" if labels == "shuffled" else "true",
        seed=seed,
        keep=keep,
    )
    raise typer.Exit(play(options))


@app.command()
def check(
    *,
    file: Annotated[Path | None, typer.Argument(help="The settings file; the same as --config.", show_default=False)] = None,
    config: Config = _DEFAULT,
    records: Annotated[
        Path | None,
        typer.Option("--records", help="Recorded traffic as for `retuned replay`: its rate, and any rhythm.", show_default=False),
    ] = None,
    labels: Annotated[Path | None, typer.Option("--labels", help="With --records: its labels, for their rate.", show_default=False)] = None,
    from_ledger: Annotated[bool, typer.Option("--ledger", help="The same from what the service has recorded itself.")] = False,
    per_day: Annotated[
        int | None,
        typer.Option("--per-day", min=1, help="Records a day, where none are recorded: say which shift is soon seen.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Validate the settings; say what will be watched, how often it will be wrong, what it costs; of recorded traffic, any rhythm."""
    _one_thread()
    settings = _settings(file or config)
    from daemon.watched import show_watched  # noqa: PLC0415 (start-up time of every other command)

    with _told():
        found = _recorded(settings, records, labels, from_ledger=from_ledger)
        show_watched(settings, file or config, per_day=per_day, recorded=found, as_json=as_json)


def _recorded(settings: Settings, records: Path | None, labels: Path | None, *, from_ledger: bool) -> dict[str, Recorded]:
    """Model -> its recorded traffic; none where nobody asked for it."""
    from daemon.recorded import recorded_in_files, recorded_in_log  # noqa: PLC0415 (start-up time of every other command)

    if records is not None and from_ledger:
        raise typer.BadParameter("give --records or --ledger, not both", param_hint="--ledger")
    if records is not None:
        return recorded_in_files(settings, records, labels)
    if labels is not None:
        raise typer.BadParameter("comes with --records", param_hint="--labels")
    if not from_ledger:
        return {}
    from daemon.wiring import ledger_url  # noqa: PLC0415

    return recorded_in_log(settings, ledger_url(settings))


@app.command()
def detectors(
    *, as_json: AsJson = False, markdown: Annotated[bool, typer.Option("--markdown", help="As docs/detectors.md is written.")] = False
) -> None:
    """Every detector that can be used, plug-ins too: what it reads, promises, assumes and costs."""
    from daemon.detector_list import show_detectors  # noqa: PLC0415 (start-up time of every other command)

    show_detectors(as_json=as_json, is_markdown=markdown)


@app.command()
def replay(
    *,
    records: Annotated[Path, typer.Option("--records", help="NDJSON of records as posted to /v1/records.")],
    config: Config = _DEFAULT,
    labels: Annotated[Path | None, typer.Option("--labels", help="NDJSON of labels as posted to /v1/labels.")] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for summary.json.")] = Path("replay-out"),
) -> None:
    """Run recorded traffic through the same pipeline on a virtual clock; would-be retrainings are listed, not run."""
    _one_thread()
    settings = _settings(config)
    from daemon.replay import replay as run  # noqa: PLC0415 (start-up time of every other command)
    from daemon.replay_show import show_summary, shown_progress  # noqa: PLC0415
    from retrain.types import Permanent  # noqa: PLC0415

    try:
        with shown_progress() as progress:
            summary = run(settings, records, labels, out, progress=progress)
        show_summary(summary, out)
    except Permanent as e:
        typer.echo(f"retuned: {e.detail}", err=True)
        raise typer.Exit(1) from None


@app.command()
def backup(
    *,
    out: Annotated[Path, typer.Argument(help="The file to write, say retuned.tar.zst; it will hold secrets.", show_default=False)],
    config: Config = _DEFAULT,
) -> None:
    """Write all that the service needs to go on elsewhere into one file, while it runs."""
    settings = _settings(config)
    from daemon.backup import backup as make  # noqa: PLC0415 (start-up time of every other command)
    from daemon.wiring import ledger_url  # noqa: PLC0415

    with _told():
        typer.echo("\n".join(make(settings, config, out, ledger_url=ledger_url(settings)).lines()))


@app.command()
def restore(
    *,
    archive: Annotated[Path, typer.Argument(metavar="FROM", help="What `retuned backup` wrote.", show_default=False)],
    into: Annotated[Path, typer.Option("--into", help="An empty folder: the data_dir of the service that goes on.")],
    ledger: Annotated[
        str | None, typer.Option("--ledger", help="An empty database that takes the ledger; without it SQLite.", envvar="RETUNED_LEDGER")
    ] = None,
) -> None:
    """Verify a backup and put it into an empty folder."""
    from daemon.restore import restore as put  # noqa: PLC0415 (start-up time of every other command)

    with _told():
        typer.echo("\n".join(put(archive, into, ledger_url=ledger).lines()))


@contextmanager
def _told() -> Iterator[None]:
    """A failure is one sentence and exit code 1."""
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 (start-up time of `retuned --help`)

    from retrain.types import Permanent  # noqa: PLC0415

    try:
        yield
    except (Permanent, OSError, SQLAlchemyError) as e:  # no message of these holds a password
        typer.echo(f"retuned: {e.detail if isinstance(e, Permanent) else e}", err=True)
        raise typer.Exit(1) from None


@app.command()
def status(*, model: MaybeModel = None, config: Config = _DEFAULT, url: Where = None, as_json: AsJson = False) -> None:
    """What the service sees: champions, figures, alarms, incidents, runs."""
    from daemon.status import show_model, show_models  # noqa: PLC0415 (start-up time of every other command)

    client = _client(config, url)
    if model is None:
        show_models(client.models(), as_json=as_json)
    else:
        show_model(client.model(model), as_json=as_json)


@app.command(name="label-plan")
def label_plan(
    *,
    model: Model,
    n: Annotated[int, typer.Option(min=1, max=1000, help="How many labels.")] = 100,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write id, at, probability here.")] = None,
    config: Config = _DEFAULT,
    url: Where = None,
) -> None:
    """Records worth a label now: unsure ones more often, each with its probability, and the interval that the labels would buy."""
    from daemon.status import show_label_plan  # noqa: PLC0415 (start-up time of every other command)

    show_label_plan(_client(config, url).label_plan(model, n), csv)


@app.command()
def runs(*, model: MaybeModel = None, config: Config = _DEFAULT, url: Where = None, as_json: AsJson = False) -> None:
    """Retrainings, newest first: state, trigger, gates."""
    from daemon.status import show_runs  # noqa: PLC0415 (start-up time of every other command)

    client = _client(config, url)
    names = [model] if model is not None else client.names()
    show_runs([client.model(name) for name in names], as_json=as_json)


@app.command()
def retrain(*, model: Model, by: By = None, because: Because = "", config: Config = _DEFAULT, url: Where = None) -> None:
    """Start a retraining now, whatever the triggers say."""
    typer.echo(_client(config, url).ask(model, "retrain", by=by, because=because))


@app.command()
def approve(
    *,
    model: Model,
    run: Annotated[str | None, typer.Option("--run", help="Which run. Default: the one that waits.", show_default=False)] = None,
    by: By = None,
    because: Because = "",
    config: Config = _DEFAULT,
    url: Where = None,
) -> None:
    """Let a run that waits for approval go on; your name goes into the ledger."""
    typer.echo(_client(config, url).ask(model, "approve", by=by, because=because, run=run))


@app.command()
def promote(
    *, model: Model, version: Version = None, by: By = None, because: Because = "", config: Config = _DEFAULT, url: Where = None
) -> None:
    """Promote a registered version (default: the challenger) whose gates passed or whose run was approved."""
    typer.echo(_client(config, url).ask(model, "promote", by=by, because=because, version=version))


@app.command()
def rollback(
    *, model: Model, version: Version = None, by: By = None, because: Because = "", config: Config = _DEFAULT, url: Where = None
) -> None:
    """Back to the previous champion, at once; the present one is barred."""
    typer.echo(_client(config, url).ask(model, "rollback", by=by, because=because, version=version))


@app.command()
def absorb(
    *,
    model: Model,
    incident: Annotated[str | None, typer.Option("--incident", help="Which one. Default: the open one.", show_default=False)] = None,
    force: Annotated[bool, typer.Option("--force", help="Also when that it does no harm is not proven, or data come damaged.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Bring the reference before the last absorbing back.")] = False,
    by: By = None,
    because: Because = "",
    config: Config = _DEFAULT,
    url: Where = None,
) -> None:
    """A benign shift is normal now: the records since the incident opened become the reference, in a new epoch."""
    if undo and (incident is not None or force):
        raise typer.BadParameter("goes with neither --incident nor --force: the last absorbing is undone", param_hint="--undo")
    if not undo and not because.strip():
        raise typer.BadParameter("say why this is normal now: it goes into the ledger", param_hint="--because")
    client = _client(config, url)
    if undo:
        typer.echo(client.ask(model, "absorb/undo", by=by, because=because))
    else:
        typer.echo(client.ask(model, "absorb", by=by, because=because, incident=incident, force=force))


@app.command()
def pause(*, model: MaybeModel = None, by: By = None, because: Because = "", config: Config = _DEFAULT, url: Where = None) -> None:
    """Stop everything automatic, of one model or of all; survives a restart."""
    _each(_client(config, url), model, "pause", by, because)


@app.command()
def resume(*, model: MaybeModel = None, by: By = None, because: Because = "", config: Config = _DEFAULT, url: Where = None) -> None:
    """The inverse of pause."""
    _each(_client(config, url), model, "resume", by, because)


@app.command()
def incidents(*, model: MaybeModel = None, config: Config = _DEFAULT, url: Where = None, as_json: AsJson = False) -> None:
    """Incidents, newest first: since when, harmful or not, who is on it, what it was judged."""
    from daemon.status import show_incidents  # noqa: PLC0415 (start-up time of every other command)

    client = _client(config, url)
    names = [model] if model is not None else client.names()
    show_incidents([client.model(name) for name in names], as_json=as_json)


@app.command()
def acknowledge(*, incident: Incident, by: By = None, because: Because = "", config: Config = _DEFAULT, url: Where = None) -> None:
    """Say that you are on an incident: its alerts stop paging."""
    typer.echo(_client(config, url).say(incident, "acknowledge", by=by, because=because))


@app.command()
def mute(
    *,
    incident: Incident,
    hours: Annotated[float, typer.Option("--hours", min=0.0, help="For how long, at most 720.")] = 8.0,
    by: By = None,
    because: Because = "",
    config: Config = _DEFAULT,
    url: Where = None,
) -> None:
    """Tell nobody of an incident for some hours; what the service does by itself goes on."""
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415 (start-up time of every other command)

    until = (datetime.now(UTC) + timedelta(hours=hours)).isoformat()
    typer.echo(_client(config, url).say(incident, "mute", by=by, because=because, until=until))


@app.command()
def close(
    *,
    incident: Incident,
    judged: Annotated[str, typer.Option("--as", help="real | false | expected: what it was.", show_default=False)],
    replaces: Annotated[str | None, typer.Option("--replaces", help="The judgement that this one corrects.", show_default=False)] = None,
    by: By = None,
    because: Because = "",
    config: Config = _DEFAULT,
    url: Where = None,
) -> None:
    """Close an incident, or correct what it was closed as; from these judgements the precision of the alarms is measured."""
    typer.echo(_client(config, url).say(incident, "close", by=by, because=because, judged=judged, replaces=replaces))


def _each(client: Client, model: str | None, what: str, by: str | None, because: str) -> None:
    for name in [model] if model is not None else client.names():
        typer.echo(client.ask(name, what, by=by, because=because))


def _settings(file: Path) -> Settings:
    """The settings, or every problem on stderr and exit code 2."""
    from daemon.check import SettingsError, load_settings  # noqa: PLC0415 (start-up time of `retuned --help`)

    try:
        return load_settings(file)
    except SettingsError as e:
        typer.echo(str(e), err=True)
        raise typer.Exit(BAD_SETTINGS) from None


def _client(config: Path, url: str | None) -> Client:
    from daemon.client import Client, find_service  # noqa: PLC0415 (start-up time of `retuned --help`)

    settings = _settings(config) if url is None and config.exists() else None
    return Client(url or find_service(settings))
