"""checkov reads every manifest; what it finds is explained, one by one, in deploy/checkov.yaml. Part of `make prove`, which installs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.charts import ROOT, VALUES, kustomize, run, template

_PYTHON = ROOT / ".cache" / "checkov" / "bin" / "python"


@pytest.mark.prove
def test_checkov_finds_nothing_that_is_not_explained(tmp_path: Path) -> None:
    for values in VALUES:
        (tmp_path / f"chart-{values.name}").write_text(template("--values", values))
    (tmp_path / "chart-defaults.yaml").write_text(template())
    for folder in ("base", "overlays/jobs"):
        (tmp_path / f"kustomize-{Path(folder).name}.yaml").write_text(yaml.safe_dump_all(kustomize(folder).objects))
    done = run(_PYTHON, "-m", "checkov.main", "-d", tmp_path, "--framework", "kubernetes", "-o", "json", "--quiet", "--skip-download")
    said = json.loads(done.stdout)
    print(said["summary"])
    assert said["summary"]["parsing_errors"] == 0
    assert said["summary"]["resource_count"] >= 70
    found = {(f["check_id"], f["resource"].split(".")[0]) for f in said["results"]["failed_checks"]}
    reasons = yaml.safe_load((ROOT / "deploy" / "checkov.yaml").read_text())
    assert found == {(check, kind) for check, reason in reasons.items() for kind in reason["of"] if reason["why"]}
