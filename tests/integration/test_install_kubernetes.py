"""docs/install-kubernetes.md: its commands run, its values are valid, its refusals are the chart's."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.charts import HELM, KUBECTL, ROOT, parsed
from tests.docs_blocks import Block

_GUIDE = ROOT / "docs" / "install-kubernetes.md"


def test_the_guide_to_kubernetes(doc_blocks: list[Block], tmp_path: Path) -> None:
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    for name, text in re.findall(r"```yaml\n# (\S+\.yaml)\n(.*?)```", _GUIDE.read_text(), re.DOTALL):
        (tmp_path / name).write_text(text)
    env = {"PATH": f"{HELM.parent}:{KUBECTL.parent}:{Path(sys.executable).parent}:/usr/bin:/bin"}
    look, install, retraining, watching, kustomize = doc_blocks
    without_cluster = {"helm upgrade --install": "helm install --dry-run=client"}
    assert "support-sentiment" in look.run(cwd=tmp_path, env=env)
    assert "rollout status deployment/retuned" in install.run(cwd=tmp_path, env=env, replace=without_cluster)
    assert retraining.run(cwd=tmp_path, env=env, replace=without_cluster).count("executor:") == 2
    watching.run(cwd=tmp_path, env=env)
    found = parsed((tmp_path / "with-operator.yaml").read_text())
    assert found.one("ServiceMonitor")["metadata"]["name"] == found.one("Service")["metadata"]["name"] == "retuned"
    assert found.one("Secret")["metadata"]["name"] == "retuned-token"
    assert found.one("PersistentVolumeClaim")["metadata"]["name"] == "retuned-data"
    assert kustomize.run(cwd=tmp_path, env=env).count("kind: Deployment") == 2
