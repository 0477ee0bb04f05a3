"""The registry adapter against a real MLflow store: SQLite, and once PostgreSQL."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from retrain.types import Permanent, Reason, Transient
from retrain.versions.mlflow import MlflowVersions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# MLflow and what it imports, not this project
pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning"), pytest.mark.filterwarnings("ignore::FutureWarning")]

MODEL = "support-sentiment"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("registry")


@pytest.fixture(scope="module")
def versions(home: Path) -> MlflowVersions:
    return MlflowVersions(data_dir=home)


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text('{"r": 16}')
    (folder / "adapter_model.safetensors").write_bytes(b"\x00weights")
    return folder


def test_a_key_gives_one_version_however_often_it_is_staged(versions: MlflowVersions, adapter: Path) -> None:
    first = versions.stage(MODEL, adapter, key="run-1", tags={"plan_digest": "abc"})
    again = MlflowVersions(versions.tracking_uri, data_dir=adapter.parent).stage(MODEL, adapter, key="run-1", tags={"plan_digest": "abc"})
    other = versions.stage(MODEL, adapter, key="run-2", tags={})
    assert again.version == first.version
    assert other.version != first.version
    assert first.tags["plan_digest"] == "abc"


def test_a_crash_after_the_upload_uses_the_same_mlflow_run_again(
    versions: MlflowVersions, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_args: object, **_kw: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(versions._client, "create_model_version", killed)
        with pytest.raises(KeyboardInterrupt):
            versions.stage(MODEL, adapter, key="run-killed", tags={})
    made = versions.stage(MODEL, adapter, key="run-killed", tags={})
    experiment = versions._client.get_experiment_by_name("retuned").experiment_id
    runs = versions._client.search_runs([experiment], filter_string="tags.`retuned.key` = 'run-killed'")
    assert len(runs) == 1
    assert versions.find(MODEL, made.version) == made


def test_an_adapter_comes_back_byte_for_byte(versions: MlflowVersions, adapter: Path, tmp_path: Path) -> None:
    ref = versions.stage(MODEL, adapter, key="run-fetch", tags={})
    folder = versions.fetch(MODEL, ref.version, tmp_path / "got")
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == {p.name: p.read_bytes() for p in adapter.iterdir()}
    assert versions.fetch(MODEL, ref.version, tmp_path / "got") == folder


def test_aliases_are_set_moved_and_removed_and_repeating_changes_nothing(versions: MlflowVersions, adapter: Path) -> None:
    one = versions.stage("other", adapter, key="o1", tags={}).version
    two = versions.stage("other", adapter, key="o2", tags={}).version
    assert versions.aliases("other") == {}
    for version in (one, two, two):
        versions.put_alias("other", "champion", version)
    versions.put_alias("other", "previous", one)
    assert versions.aliases("other") == {"champion": two, "previous": one}
    for _ in range(2):
        versions.put_alias("other", "previous", None)
    assert versions.aliases("other") == {"champion": two}


def test_a_deleted_version_is_not_found_and_takes_its_alias_along(versions: MlflowVersions, adapter: Path) -> None:
    ref = versions.stage("gone", adapter, key="g", tags={})
    versions.put_alias("gone", "champion", ref.version)
    versions._client.delete_model_version("gone", ref.version)
    assert versions.find("gone", ref.version) is None
    assert versions.aliases("gone") == {}
    assert versions.find("never", "1") is None
    assert versions.aliases("never") == {}


def test_what_does_not_exist_is_permanent_and_what_does_not_answer_is_transient(versions: MlflowVersions, tmp_path: Path) -> None:
    with pytest.raises(Permanent) as missing:
        versions.put_alias(MODEL, "champion", "99")
    assert missing.value.reason is Reason.NOT_FOUND
    with pytest.raises(Permanent):
        versions.stage(MODEL, tmp_path / "nothing", key="x", tags={})
    unreachable = MlflowVersions("http://127.0.0.1:9", data_dir=tmp_path)
    with pytest.raises(Transient):
        unreachable.aliases(MODEL)


@pytest.mark.parametrize("new_database", ["postgresql"], indirect=True)
def test_a_registry_in_postgresql_keeps_versions_there_and_adapters_in_the_data_folder(
    new_database: Callable[[], str], adapter: Path, tmp_path: Path
) -> None:
    versions = MlflowVersions(new_database(), data_dir=tmp_path / "data")
    made = versions.stage(MODEL, adapter, key="run-1", tags={"plan_digest": "abc"})
    assert versions.stage(MODEL, adapter, key="run-1", tags={}) == made
    versions.put_alias(MODEL, "champion", made.version)
    assert versions.aliases(MODEL) == {"champion": made.version}
    assert versions.find(MODEL, made.version) == made
    assert list((tmp_path / "data" / "mlflow" / "artifacts").rglob("adapter_model.safetensors"))
    fetched = versions.fetch(MODEL, made.version, tmp_path / "got")
    assert (fetched / "adapter_model.safetensors").read_bytes() == b"\x00weights"


def test_a_store_that_is_no_database_is_away_and_a_place_that_is_no_registry_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / "mlflow.db").write_bytes(b"no database" * 100)
    with pytest.raises(Transient, match="not a database"):
        MlflowVersions(data_dir=tmp_path).aliases(MODEL)
    with pytest.raises(Permanent, match="unsupported URI"):
        MlflowVersions("nonsense://x", data_dir=tmp_path).aliases(MODEL)
    with pytest.raises(Permanent, match="not installed"):
        MlflowVersions("mysql://x/y", data_dir=tmp_path).aliases(MODEL)


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """A server that says the same to everybody; its URL."""

    class Same(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Same) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("body", [b"", b"{}", b'{"registered_model": 5, "model_version": []}', b"<html>sign in</html>"])
def test_an_answer_that_is_not_mlflows_is_no_word_about_aliases_or_versions(tmp_path: Path, body: bytes) -> None:
    with answering(200, body) as url:
        odd = MlflowVersions(url, data_dir=tmp_path)
        with pytest.raises(Transient):
            odd.aliases(MODEL)
        with pytest.raises(Transient):
            odd.find(MODEL, "1")
