"""The command `retuned`. Fast to start: what a command needs is imported inside it."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli_options import DEFAULT, AsJson, Config, settings_of
from daemon.cli_service import asking

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daemon.settings import Settings
    from daemon.watched.recorded import Recorded

app = typer.Typer(
    name="retuned",
    help="Keeps fine-tuned models in tune: watches, retrains when it is worth it, proves the candidate, promotes it, rolls back.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _one_thread() -> None:
    """Monitoring runs beside models: its small matrices gain nothing from threads, which spin for each other on a busy machine."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when numpy loads; torch, in the trainer, has its own


@app.command()
def serve(*, config: Config = DEFAULT) -> None:
    """Run the service until SIGTERM or Ctrl-C."""
    _one_thread()
    settings = settings_of(config)
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
    from daemon.demo.stage import Options  # noqa: PLC0415 (as above)

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
    config: Config = DEFAULT,
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
    labels_per_day: Annotated[
        int | None, typer.Option("--labels-per-day", min=1, help="Labels a day, where none are recorded.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Validate the settings; say what will be watched, how often it will be wrong, what it costs; of recorded traffic, any rhythm."""
    _one_thread()
    settings = settings_of(file or config, reads_references=True)
    from daemon.watched.table import show_watched  # noqa: PLC0415 (start-up time of every other command)
    from daemon.watched.traffic import Traffic  # noqa: PLC0415 (as above)

    with _told():
        found = _recorded(settings, records, labels, from_ledger=from_ledger)
        traffic = Traffic(recorded=found, per_day=per_day, labels_per_day=labels_per_day)
        show_watched(settings, file or config, traffic=traffic, as_json=as_json)


def _recorded(settings: Settings, records: Path | None, labels: Path | None, *, from_ledger: bool) -> dict[str, Recorded]:
    """Model -> its recorded traffic; none where nobody asked for it."""
    from daemon.watched.recorded import recorded_in_files, recorded_in_log  # noqa: PLC0415 (start-up time of every other command)

    if records is not None and from_ledger:
        raise typer.BadParameter("give --records or --ledger, not both", param_hint="--ledger")
    if records is not None:
        return recorded_in_files(settings, records, labels)
    if labels is not None:
        raise typer.BadParameter("comes with --records", param_hint="--labels")
    if not from_ledger:
        return {}
    from daemon.wiring import ledger_url  # noqa: PLC0415 (as above)

    return recorded_in_log(settings, ledger_url(settings))


@app.command()
def detectors(
    *, as_json: AsJson = False, markdown: Annotated[bool, typer.Option("--markdown", help="As docs/detectors.md is written.")] = False
) -> None:
    """Every detector that can be used, plug-ins too: what it reads and promises; --json adds what it assumes, costs and can be set."""
    from daemon.detector_list import show_detectors  # noqa: PLC0415 (start-up time of every other command)

    show_detectors(as_json=as_json, is_markdown=markdown)


@app.command()
def replay(
    *,
    records: Annotated[Path, typer.Option("--records", help="NDJSON of records as posted to /v1/records.")],
    config: Config = DEFAULT,
    labels: Annotated[Path | None, typer.Option("--labels", help="NDJSON of labels as posted to /v1/labels.")] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for summary.json.")] = Path("replay-out"),
) -> None:
    """Run recorded traffic through the same pipeline on a virtual clock; would-be retrainings are listed, not run."""
    _one_thread()
    settings = settings_of(config)
    from daemon import logs  # noqa: PLC0415 (start-up time of every other command)
    from daemon.replay.run import replay as run  # noqa: PLC0415 (start-up time of every other command)
    from daemon.replay.show import show_summary, shown_progress  # noqa: PLC0415 (as above)
    from retrain.types import Permanent  # noqa: PLC0415 (as above)

    logs.to_stderr()
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
    config: Config = DEFAULT,
) -> None:
    """Write all that the service needs to go on elsewhere into one file, while it runs."""
    settings = settings_of(config)
    from daemon.backup.make import backup as make  # noqa: PLC0415 (start-up time of every other command)
    from daemon.wiring import ledger_url  # noqa: PLC0415 (as above)

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
    from daemon.backup.restore import restore as put  # noqa: PLC0415 (start-up time of every other command)

    with _told():
        typer.echo("\n".join(put(archive, into, ledger_url=ledger).lines()))


@contextmanager
def _told() -> Iterator[None]:
    """A failure is one sentence and exit code 1."""
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 (start-up time of `retuned --help`)

    from retrain.types import Permanent  # noqa: PLC0415 (as above)

    try:
        yield
    except (Permanent, OSError, SQLAlchemyError) as e:  # no message of these holds a password
        typer.echo(f"retuned: {e.detail if isinstance(e, Permanent) else e}", err=True)
        raise typer.Exit(1) from None


app.add_typer(asking)
