"""Commands that ask a running service: what it sees, and what a person wants done."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli_options import DEFAULT, AsJson, Because, By, Config, Incident, MaybeModel, Model, Version, Where, settings_of

if TYPE_CHECKING:
    from daemon.client import Client

asking = typer.Typer()


@asking.command()
def status(*, model: MaybeModel = None, config: Config = DEFAULT, url: Where = None, as_json: AsJson = False) -> None:
    """What the service sees: champions, figures, alarms, incidents, runs."""
    from daemon.status import show_model, show_models  # noqa: PLC0415 (start-up time of every other command)

    client = _client(config, url)
    if model is None:
        show_models(client.models(), as_json=as_json)
    else:
        show_model(client.model(model), as_json=as_json)


@asking.command(name="label-plan")
def label_plan(
    *,
    model: Model,
    n: Annotated[int, typer.Option(min=1, max=1000, help="How many labels.")] = 100,
    csv: Annotated[Path | None, typer.Option("--csv", help="Write id, at, probability here.")] = None,
    config: Config = DEFAULT,
    url: Where = None,
) -> None:
    """Records worth a label now: unsure ones more often, each with its probability, and the interval that the labels would buy."""
    from daemon.status import show_label_plan  # noqa: PLC0415 (start-up time of every other command)

    show_label_plan(_client(config, url).label_plan(model, n), csv)


@asking.command()
def runs(*, model: MaybeModel = None, config: Config = DEFAULT, url: Where = None, as_json: AsJson = False) -> None:
    """Retrainings, newest first: state, trigger, gates."""
    from daemon.status import show_runs  # noqa: PLC0415 (start-up time of every other command)

    client = _client(config, url)
    show_runs([client.model(name) for name in client.names(model)], as_json=as_json)


@asking.command()
def retrain(*, model: Model, by: By = None, because: Because = "", config: Config = DEFAULT, url: Where = None) -> None:
    """Start a retraining now, whatever the triggers say."""
    typer.echo(_client(config, url).ask(model, "retrain", by=by, because=because))


@asking.command()
def approve(
    *,
    model: Model,
    run: Annotated[str | None, typer.Option("--run", help="Which run. Default: the one that waits.", show_default=False)] = None,
    by: By = None,
    because: Because = "",
    config: Config = DEFAULT,
    url: Where = None,
) -> None:
    """Let a run that waits for approval go on; your name goes into the ledger."""
    typer.echo(_client(config, url).ask(model, "approve", by=by, because=because, run=run))


@asking.command()
def cancel(
    *,
    model: Model,
    run: Annotated[str | None, typer.Option("--run", help="Which run. Default: the active one.", show_default=False)] = None,
    by: By = None,
    because: Because = "",
    config: Config = DEFAULT,
    url: Where = None,
) -> None:
    """End a run that is planned, collects labels or waits for approval; its incident starts no other one by itself."""
    typer.echo(_client(config, url).ask(model, "cancel", by=by, because=because, run=run))


@asking.command()
def promote(
    *, model: Model, version: Version = None, by: By = None, because: Because = "", config: Config = DEFAULT, url: Where = None
) -> None:
    """Promote a registered version (default: the challenger) whose gates passed or whose run was approved."""
    typer.echo(_client(config, url).ask(model, "promote", by=by, because=because, version=version))


@asking.command()
def rollback(
    *, model: Model, version: Version = None, by: By = None, because: Because = "", config: Config = DEFAULT, url: Where = None
) -> None:
    """Back to the previous champion, at once; the present one is barred."""
    typer.echo(_client(config, url).ask(model, "rollback", by=by, because=because, version=version))


@asking.command()
def absorb(
    *,
    model: Model,
    incident: Annotated[str | None, typer.Option("--incident", help="Which one. Default: the open one.", show_default=False)] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also when harm is not ruled out, data come damaged, or something is not watched any more then.")
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Bring the reference before the last absorbing back.")] = False,
    by: By = None,
    because: Because = "",
    config: Config = DEFAULT,
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


@asking.command()
def pause(*, model: MaybeModel = None, by: By = None, because: Because = "", config: Config = DEFAULT, url: Where = None) -> None:
    """Stop everything automatic, of one model or of all; survives a restart."""
    _each(_client(config, url), model, "pause", by, because)


@asking.command()
def resume(*, model: MaybeModel = None, by: By = None, because: Because = "", config: Config = DEFAULT, url: Where = None) -> None:
    """The inverse of pause."""
    _each(_client(config, url), model, "resume", by, because)


@asking.command()
def incidents(*, model: MaybeModel = None, config: Config = DEFAULT, url: Where = None, as_json: AsJson = False) -> None:
    """Incidents, newest first: since when, harmful or not, who is on it, what it was judged."""
    from daemon.status import show_incidents  # noqa: PLC0415 (start-up time of every other command)

    client = _client(config, url)
    show_incidents([client.model(name) for name in client.names(model)], as_json=as_json)


@asking.command()
def acknowledge(*, incident: Incident, by: By = None, because: Because = "", config: Config = DEFAULT, url: Where = None) -> None:
    """Say that you are on an incident: its alerts stop paging."""
    typer.echo(_client(config, url).say(incident, "acknowledge", by=by, because=because))


@asking.command()
def mute(
    *,
    incident: Incident,
    hours: Annotated[float, typer.Option("--hours", min=0.0, help="For how long, at most 720.")] = 8.0,
    by: By = None,
    because: Because = "",
    config: Config = DEFAULT,
    url: Where = None,
) -> None:
    """Tell nobody of an incident for some hours; what the service does by itself goes on."""
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415 (start-up time of every other command)

    until = (datetime.now(UTC) + timedelta(hours=hours)).isoformat()
    typer.echo(_client(config, url).say(incident, "mute", by=by, because=because, until=until))


@asking.command()
def close(
    *,
    incident: Incident,
    judged: Annotated[str, typer.Option("--as", help="real | false | expected: what it was.", show_default=False)],
    replaces: Annotated[str | None, typer.Option("--replaces", help="The judgement that this one corrects.", show_default=False)] = None,
    by: By = None,
    because: Because = "",
    config: Config = DEFAULT,
    url: Where = None,
) -> None:
    """Close an incident, or correct what it was closed as; from these judgements the precision of the alarms is measured."""
    typer.echo(_client(config, url).say(incident, "close", by=by, because=because, judged=judged, replaces=replaces))


def _each(client: Client, model: str | None, what: str, by: str | None, because: str) -> None:
    for name in client.names(model):
        typer.echo(client.ask(name, what, by=by, because=because))


def _client(config: Path, url: str | None) -> Client:
    from daemon.client import Client, find_service  # noqa: PLC0415 (start-up time of `retuned --help`)

    settings = settings_of(config) if url is None and config.exists() else None
    return Client(url or find_service(settings))
