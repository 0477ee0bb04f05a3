"""checkov reads every manifest and the Dockerfile; deploy/checkov.yaml explains what it finds. Part of `make prove`, which installs it."""

from __future__ import annotations

import json
import shutil
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
    shutil.copy(ROOT / "deploy" / "Dockerfile", tmp_path)
    kinds = ("--framework", "kubernetes", "dockerfile")
    done = run(_PYTHON, "-m", "checkov.main", "-d", tmp_path, *kinds, "-o", "json", "--quiet", "--skip-download")
    manifests, dockerfile = sorted(json.loads(done.stdout), key=lambda one: str(one["check_type"]), reverse=True)
    print(manifests["summary"], dockerfile["summary"])
    assert manifests["summary"]["parsing_errors"] == dockerfile["summary"]["parsing_errors"] == 0
    assert manifests["summary"]["resource_count"] >= 70
    failed = [*manifests["results"]["failed_checks"], *dockerfile["results"]["failed_checks"]]
    found = {(f["check_id"], f["resource"].lstrip("/").split(".")[0]) for f in failed}
    reasons = yaml.safe_load((ROOT / "deploy" / "checkov.yaml").read_text())
    assert found == {(check, kind) for check, reason in reasons.items() for kind in reason["of"] if reason["why"]}
