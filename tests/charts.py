"""The Helm chart and the kustomize base, rendered by the real helm and kubectl without a cluster."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from daemon.check.read import load_settings
from daemon.settings import Settings

ROOT = Path(__file__).parents[1]
CHART = ROOT / "deploy" / "chart"
HELM = ROOT / ".cache" / "helm" / "helm" / "helm"
KUBECTL = ROOT / ".cache" / "helm" / "kubectl" / "kubectl"
VALUES = sorted((CHART / "ci").glob("*.yaml"))
"""One file for each way to install it."""
OPERATOR = ("--api-versions", "monitoring.coreos.com/v1")
"""As in a cluster that has the Prometheus operator."""

Object = dict[str, Any]


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60, check=False)


def helm(*command: str | Path) -> str:
    """What helm printed; it must succeed."""
    done = run(HELM, *command)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refusal(*command: str | Path) -> str:
    """What a user reads when helm refuses."""
    done = run(HELM, "template", "prod", CHART, "--namespace", "mlops", *command)
    assert done.returncode != 0, done.stdout
    return done.stderr


def template(*command: str | Path, chart: Path = CHART) -> str:
    return helm("template", "prod", chart, "--namespace", "mlops", *OPERATOR, *command)


@cache
def kustomize(folder: str) -> Rendered:
    """A folder of deploy/kustomize, built."""
    done = run(KUBECTL, "kustomize", ROOT / "deploy" / "kustomize" / folder)
    assert done.returncode == 0, done.stderr
    return parsed(done.stdout)


@dataclass(frozen=True)
class Rendered:
    """The objects of one rendering."""

    objects: tuple[Object, ...]

    def all(self, kind: str) -> list[Object]:
        return [o for o in self.objects if o["kind"] == kind]

    def one(self, kind: str, name: str | None = None) -> Object:
        found = [o for o in self.all(kind) if name is None or o["metadata"]["name"] == name]
        assert len(found) == 1, f"{len(found)} of kind {kind} {name or ''}"
        return found[0]

    def pods(self) -> list[Object]:
        """The specification of every pod."""
        deployments = [o["spec"]["template"]["spec"] for o in self.all("Deployment")]
        return [*deployments, *(o["spec"] for o in self.all("Pod"))]

    @property
    def pod(self) -> Object:
        """Of the service."""
        spec: Object = self.one("Deployment")["spec"]["template"]["spec"]
        return spec

    @property
    def container(self) -> Object:
        (found,) = self.pod["containers"]
        return dict(found)

    def settings(self, folder: Path) -> Settings:
        """The retuned.yaml that the service gets, as it reads it."""
        file = folder / "retuned.yaml"
        file.write_text(self.settings_text())
        return load_settings(file)

    def settings_text(self) -> str:
        """The same as text."""
        (volume,) = [v for v in self.pod["volumes"] if v["name"] == "config"]
        if "secret" in volume:
            return str(self.one("Secret", volume["secret"]["secretName"])["stringData"]["retuned.yaml"])
        return str(self.one("ConfigMap", volume["configMap"]["name"])["data"]["retuned.yaml"])


def parsed(text: str) -> Rendered:
    return Rendered(tuple(o for o in yaml.safe_load_all(text) if o))


@cache
def rendered(values: Path | None = None) -> Rendered:
    """The chart with one values file, or as it comes."""
    return parsed(template(*(("--values", values) if values else ())))
