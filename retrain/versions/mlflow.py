"""The registry in MLflow: adapter only (a peft folder), one version a key, aliases by name.

`mlflow.transformers.log_model` is not used: for a PEFT model on a local base it stores 92 MB and loads back with other weights. An adapter
is logged as plain artifacts instead (0.3 MB, equal scores after loading). MLflow is imported on first use: 1 s and 170 MB that a service
without work for it should not pay.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrain.types import Permanent, Reason, Transient, VersionRef

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_KEY = "retuned.key"
_EXPERIMENT = "retuned"
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # the outbox retries, nobody else
}
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
"""Without a server nobody else says where artifacts go (MLflow itself: to ./mlruns of whoever calls)."""
_MISSING = "RESOURCE_DOES_NOT_EXIST"
_TRANSIENT = {"TEMPORARILY_UNAVAILABLE", "INTERNAL_ERROR", "REQUEST_LIMIT_EXCEEDED", "DEADLINE_EXCEEDED"}


def local_uri(data_dir: Path) -> str:
    """The tracking URI of the embedded store: SQLite in `data_dir`/mlflow."""
    return f"sqlite:///{(data_dir / 'mlflow' / 'mlflow.db').resolve()}"


class MlflowVersions:
    """`retrain.types.Versions` over an `MlflowClient`.

    Every method may raise `Transient` (store not reachable, busy, timed out) and `Permanent` (`NOT_FOUND`: no such model or version;
    `REFUSED`: the store does not take the request). Safe to use from several threads.
    """

    def __init__(self, tracking_uri: str | None = None, *, data_dir: Path) -> None:
        """`tracking_uri` None: SQLite; else a database or an MLflow server. Without a server artifacts lie under `data_dir`/mlflow."""
        self._home = data_dir.resolve() / "mlflow"
        self.tracking_uri = tracking_uri or local_uri(data_dir)
        self._lock = threading.Lock()

    @cached_property
    def _client(self) -> Any:  # noqa: ANN401 (MLflow ships no types)
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        if self.tracking_uri.startswith(_DATABASES):
            self._home.mkdir(parents=True, exist_ok=True)
        from mlflow import MlflowClient  # noqa: PLC0415 (1 s and 170 MB: on first use)

        return MlflowClient(tracking_uri=self.tracking_uri, registry_uri=self.tracking_uri)

    def stage(self, model: str, candidate: Path, *, key: str, tags: Mapping[str, str]) -> VersionRef:
        """Register the adapter in folder `candidate` once for `key`: the same key gives the same version again.

        A crash between the upload and the version leaves a run that the next call finds by its key and uses again.
        """
        if not candidate.is_dir():
            raise Permanent(Reason.NOT_FOUND, f"no adapter folder {candidate.name}")
        with self._calls():
            known = self._by_key(model, key)
            if known is not None:
                return known
            self._have_model(model)
            run_id, uri = self._run(model, key)
            self._client.log_artifacts(run_id, str(candidate), "adapter")
            made = self._client.create_model_version(model, f"{uri}/adapter", run_id=run_id, tags={**tags, _KEY: key})
            self._client.set_terminated(run_id)
            return _ref(made)

    def aliases(self, model: str) -> dict[str, str]:
        """Alias -> version, as the registry has it now; empty when the model is not known."""
        with self._calls():
            found = self._or_none(lambda: self._client.get_registered_model(model))
            if found is None:
                return {}
            _is_about(model, found.name)
            return {str(alias): str(version) for alias, version in found.aliases.items()}

    def put_alias(self, model: str, alias: str, version: str | None) -> None:
        """Set (or with None remove) an alias; repeating it changes nothing."""
        with self._calls():
            if version is None:
                self._or_none(lambda: self._client.delete_registered_model_alias(model, alias))
            else:
                self._client.set_registered_model_alias(model, alias, version)

    def find(self, model: str, version: str) -> VersionRef | None:
        """A version, or None when it was deleted or never existed."""
        with self._calls():
            found = self._or_none(lambda: self._client.get_model_version(model, version))
            if found is None or found.current_stage == "Deleted_Internal":
                return None
            _is_about(f"{model} {version}", f"{found.name} {found.version}")
            return _ref(found)

    def fetch(self, model: str, version: str, into: Path) -> Path:
        """Download the adapter's folder to `into`/`model`-`version` (complete or not there at all) and return that path."""
        target = into / f"{model}-{version}"
        if target.is_dir():
            return target
        into.mkdir(parents=True, exist_ok=True)
        with self._calls():
            from mlflow.artifacts import download_artifacts  # noqa: PLC0415 (with the client, on first use)

            uri = self._client.get_model_version_download_uri(model, version)
            with tempfile.TemporaryDirectory(dir=into, prefix=".fetch-") as part:
                got = Path(download_artifacts(artifact_uri=uri, dst_path=part, tracking_uri=self.tracking_uri))
                copied = Path(part) / "whole"
                shutil.copytree(got, copied)
                with contextlib.suppress(FileExistsError):  # somebody fetched it in the meantime: as good
                    copied.rename(target)
        return target

    def _by_key(self, model: str, key: str) -> VersionRef | None:
        found = self._client.search_model_versions(f"name = {_quoted(model)} AND tag.`{_KEY}` = {_quoted(key)}", max_results=10)
        return _ref(min(found, key=lambda v: int(v.version))) if found else None

    def _have_model(self, model: str) -> None:
        if self._or_none(lambda: self._client.get_registered_model(model)) is None:
            self._client.create_registered_model(model)

    def _run(self, model: str, key: str) -> tuple[str, str]:
        """Run id and artifact URI of the run that holds the key's artifacts."""
        found = self._client.get_experiment_by_name(_EXPERIMENT)
        if found is not None:
            experiment = found.experiment_id
        else:
            place = (self._home / "artifacts").as_uri() if self.tracking_uri.startswith(_DATABASES) else None
            experiment = self._client.create_experiment(_EXPERIMENT, artifact_location=place)
        query = f"tags.`{_KEY}` = {_quoted(key)} AND tags.`retuned.model` = {_quoted(model)}"
        runs = self._client.search_runs([experiment], filter_string=query, max_results=1)
        run = runs[0] if runs else self._client.create_run(experiment, run_name=key, tags={_KEY: key, "retuned.model": model})
        return str(run.info.run_id), str(run.info.artifact_uri)

    @contextlib.contextmanager
    def _calls(self) -> Iterator[None]:
        """One caller at a time; whatever the store raises becomes `Transient` or `Permanent`."""
        with self._lock:
            from google.protobuf.json_format import ParseError  # noqa: PLC0415 (MLflow's own, with the client, on first use)
            from mlflow.exceptions import MlflowException  # noqa: PLC0415 (likewise)
            from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 (likewise)

            try:
                _ = self._client
                yield
            except MlflowException as e:
                raise _failure(e) from e
            except ParseError as e:
                raise Transient(Reason.UNAVAILABLE, f"registry: no answer of MLflow's: {e}"[:500]) from e
            except (OSError, TimeoutError, SQLAlchemyError) as e:  # requests' errors are OSErrors; a store is opened outside MLflow's net
                raise Transient(Reason.UNAVAILABLE, f"registry: {e}"[:500]) from e
            except ImportError as e:
                raise Permanent(Reason.REFUSED, f"registry: its database needs a driver that is not installed ({e.name})") from e

    def _or_none(self, call: Any) -> Any:  # noqa: ANN401 (MLflow ships no types)
        from mlflow.exceptions import MlflowException  # noqa: PLC0415 (with the client, on first use)

        try:
            return call()
        except MlflowException as e:
            if e.error_code == _MISSING:
                return None
            raise


def _failure(e: Any) -> Transient | Permanent:  # noqa: ANN401 (MLflow ships no types)
    text = str(e)[:500]
    if e.error_code == _MISSING:
        return Permanent(Reason.NOT_FOUND, text)
    if "timed out" in text.lower():
        return Transient(Reason.TIMEOUT, text)
    if e.error_code in _TRANSIENT:
        return Transient(Reason.UNAVAILABLE, text)
    return Permanent(Reason.REFUSED, text)


def _is_about(asked: str, told: str) -> None:
    """A proxy's empty 200 reads as a model without name and aliases: nobody deleted anything."""
    if told != asked:
        raise Transient(Reason.UNAVAILABLE, f"registry: asked about {asked!r}, the answer is about {told!r}")


def _ref(made: Any) -> VersionRef:  # noqa: ANN401 (MLflow ships no types)
    return VersionRef(model=str(made.name), version=str(made.version), tags={str(k): str(v) for k, v in made.tags.items()})


def _quoted(text: str) -> str:
    if "'" in text or "\\" in text:
        raise Permanent(Reason.REFUSED, f"a name in the registry may hold no quote: {text!r}")
    return f"'{text}'"
