"""What the service sees, as tables for a terminal."""

from __future__ import annotations

import json
from csv import writer
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from daemon.decide.names import listed

if TYPE_CHECKING:
    from pathlib import Path

Body = dict[str, Any]
"""A model as GET /v1/models/NAME gives it."""

_COLOURS = {"alarm": "red", "differs": "yellow", "ok": "green", "insufficient": "dim"}
_LOUD = {"differs": 1, "alarm": 2}
_MOST_SAID = 12


def show_models(models: list[Body], *, as_json: bool) -> None:
    """One line a model."""
    if as_json:
        typer.echo(json.dumps(models, indent=2))
        return
    table = _table("model", "champion", "epoch", "state", "alarms", "incident", "run")
    for m in models:
        state = "paused" if m["is_paused"] else "blind" if m.get("blind") else "learning" if m["is_learning"] else "watching"
        run = f"{m['run']['id']} ({m['run']['state']})" if m["run"] else ""
        table.add_row(*(_cell(x) for x in (m["name"], m["version"], m["epoch"], state, listed(m["alarms"]), m["incident"], run)))
    Console().print(table)


def show_model(model: Body, *, as_json: bool) -> None:
    """All about one: head, figures, open incident, newest runs."""
    if as_json:
        typer.echo(json.dumps(model, indent=2))
        return
    console = Console()
    console.print("\n".join(_head(model)), highlight=False)
    console.print(_figures(model["verdicts"]) if model["verdicts"] else "nothing is judged yet")
    for incident in model["incidents"][:5]:
        console.print("\n".join(_incident(incident)), highlight=False)
    if model["runs"]:
        console.print(_runs([model]))


def show_runs(models: list[Body], *, as_json: bool) -> None:
    """Retrainings, newest first."""
    if as_json:
        typer.echo(json.dumps([{"model": m["name"], **r} for m in models for r in m["runs"]], indent=2))
        return
    Console().print(_runs(models) if any(m["runs"] for m in models) else "no retraining yet")


def show_incidents(models: list[Body], *, as_json: bool) -> None:
    """Incidents, newest first."""
    if as_json:
        typer.echo(json.dumps([{"model": m["name"], **i} for m in models for i in m["incidents"]], indent=2))
        return
    table = _table("model", "incident", "opened", "closed", "harm", "shift", "subjects", "acknowledged", "muted until", "judged")
    for m in models:
        for i in m["incidents"]:
            judged = f"{i['judged']} by {i['judged_by']}" if i["judged"] else ""
            absorbed = f"absorbed {i['absorbed_at']}" if i["absorbed_at"] else None
            opened = [m["name"], i["id"], i["opened_at"], absorbed or i["closed_at"] or "open", *_meaning(i)]
            said = [listed(sorted(i["subjects"])), i["acknowledged_by"], i["muted_until"], judged]
            table.add_row(*(_cell(x) for x in [*opened, *said]))
    Console().print(table if table.row_count else "no incident yet")


def _head(model: Body) -> list[str]:
    champion, epoch, window = model["champion"], model["epoch"], model["window"]
    lines = [f"[bold]{_cell(model['name'])}[/bold]  {model['task']}  autonomy: {model['autonomy'] or 'watched only'}"]
    if model["is_paused"]:
        lines.append(f"[yellow]paused by {_cell(model['paused_because'])}[/yellow]")
    if model["blind"]:
        lines.append(f"[yellow]blind: nothing has come for long: {', '.join(sorted(model['blind']))}[/yellow]")
    if champion is None or epoch is None:
        return [*lines, "no champion is known yet: it is adopted from the registry, or from the first records"]
    lines.append(f"champion {_cell(champion['version'])} since {champion['since']}, previous {_cell(champion['previous'] or 'none')}")
    learning = f", learning: {epoch['learned_ratio']:.0%}" if epoch["is_learning"] else ""
    absorbed = ", reference absorbed" if epoch["absorbed_from"] else ""
    lines.append(f"epoch {epoch['epoch']} since {epoch['started_at']}{learning}{absorbed}")
    lines += [f"[yellow]reference: {_cell(because)}[/yellow]" for because in model["reference_notes"]]
    lines.append(
        f"window {window['start']} to {window['end']}: {window['n_seen']} seen, {window['n']} kept, {window['n_labelled']} labelled"
    )
    return lines


def _says(verdict: Body) -> str:
    """In the page's words: one look informs, only what may be looked at forever alarms."""
    is_one_look = verdict["outcome"] == "alarm" and not verdict["evidence"]["kind"].startswith("e_")
    return "differs" if is_one_look else str(verdict["outcome"])


def _figures(verdicts: list[Body]) -> Table:
    """Alarms come last: there a terminal begins to be read."""
    table = _table("subject", "detector", "says", "value", "interval", "n", "evidence")
    for v in sorted(verdicts, key=lambda v: _LOUD.get(_says(v), 0)):
        says = f"[{_COLOURS.get(_says(v), 'white')}]{_says(v)}[/]"
        interval = f"{v['low']:.3g} to {v['high']:.3g}"
        table.add_row(_cell(v["subject"]), v["detector"], says, f"{v['value']:.3g}", interval, str(v["n"]), _evidence(v["evidence"]))
    return table


def _evidence(evidence: Body) -> str:
    if evidence["log10_e"] is not None:
        return f"log10 e {evidence['log10_e']:.2f} of {evidence['limit']:.2f}"
    if evidence["p"] is not None:
        return f"p {evidence['p']:.3g}"
    return f"distance {evidence['distance']:.3g} of {evidence['limit']:.3g}"


def _meaning(incident: Body) -> tuple[str, str]:
    """Harm and shift; of an incident of an older release what it holds says."""
    said = incident["diagnosis"] or {"harm": "harmful" if incident["is_harmful"] else "unknown", "shift": "unknown"}
    return said["harm"], said["shift"]


def _incident(incident: Body) -> list[str]:
    """A line; of an open one also what each alarm said first, what it means, and who is on it."""
    until = f"closed {incident['closed_at']}" if incident["closed_at"] else "[red]open[/red]"
    until = f"absorbed {incident['absorbed_at']}" if incident["absorbed_at"] else until
    harm = {"harmful": ", harmful", "likely": ", likely harmful", "benign": ", benign"}.get(_meaning(incident)[0], "")
    harm += ", confirmed" if (incident["evidence"] or {}).get("is_confirmed") else ""
    report = f", report: {incident['report']}" if incident["report"] else ""
    subjects = listed(sorted(incident["subjects"]))
    line = f"incident {_cell(incident['id'])} since {incident['opened_at']}, {until}{harm}: {_cell(subjects)}{report}"
    return [line] if incident["closed_at"] else [line, *(f"  {_cell(said)}" for said in _told(incident))]


def _told(incident: Body) -> list[str]:
    """Sentences."""
    said = []
    for key, s in incident["subjects"].items():
        subject, because = str(s.get("subject", key)), str(s.get("because", ""))
        said.append(f"{because if because.startswith(subject) else f'{subject}: {because}'} (since {s.get('first_at', '?')})")
    more = [f"and {len(said) - _MOST_SAID} more"] if len(said) > _MOST_SAID else []
    means = [f"it means: {incident['diagnosis']['because']}"] if incident["diagnosis"] else []
    return [*said[:_MOST_SAID], *more, *means, f"on it: {incident['acknowledged_by'] or 'nobody yet'}"]


def _runs(models: list[Body]) -> Table:
    table = _table("model", "run", "state", "since", "trigger", "version", "because")
    for m in models:
        for r in m["runs"]:
            trigger = f"{r['trigger'].get('detector', '')} on {r['trigger'].get('subject', '')}"
            waits = (r.get("detail", {}).get("job") or {}).get("waits")
            because = f"waits: {waits}" if waits else r["because"]
            table.add_row(*(_cell(x) for x in (m["name"], r["id"], r["state"], r["entered_at"], trigger, r["version"], because)))
    return table


def _table(*columns: str) -> Table:
    table = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"
    return table


def _cell(value: object) -> str:
    """Text from outside, shown as it is (no markup)."""
    return "" if value is None else escape(str(value))


def show_label_plan(plan: Body, csv: Path | None) -> None:
    """Id, time and probability of each record, into a file or as a table; the sentence last."""
    if csv is not None:
        with csv.open("w", newline="") as out:
            lines = writer(out)
            lines.writerow(["id", "at", "probability"])
            lines.writerows([r["id"], r["at"], f"{r['probability']:.6g}"] for r in plan["records"])
        typer.echo(f"{len(plan['records'])} records written to {csv}")
    else:
        table = _table("id", "at", "probability")
        for r in plan["records"]:
            table.add_row(_cell(r["id"]), _cell(r["at"]), f"{r['probability']:.4g}")
        Console().print(table)
    typer.echo(plan["because"])
