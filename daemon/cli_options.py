"""What the commands share: options, exit codes, and the settings file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from daemon.settings import Settings

BAD_SETTINGS = 2
"""Exit code when the settings file cannot be used."""

DEFAULT = Path("retuned.yaml")

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


def settings_of(file: Path, *, reads_references: bool = False) -> Settings:
    """The settings, or every problem on stderr and exit code 2."""
    from daemon.check.read import SettingsError, load_settings  # noqa: PLC0415 (start-up time of `retuned --help`)

    try:
        return load_settings(file, reads_references=reads_references)
    except SettingsError as e:
        typer.echo(str(e), err=True)
        raise typer.Exit(BAD_SETTINGS) from None
