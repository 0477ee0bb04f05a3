"""deploy/Dockerfile without an engine: its steps, taken one by one in folders that stand for the stages' file systems.

`python -m tests.image` is the set-up that `make test` calls: the stages that install from outside, kept in .cache while they stay the same.
Left out: the base image (the Python that runs this stands for it) and apt-get (the Makefile installs the same packages).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
CACHE = ROOT / ".cache" / "image"
PREPARED = ("base", "builder", "dependencies")
_OURS = ("/opt/retuned", "/opt/build", "/src", "/dist", "/etc/retuned", "/var/lib/retuned", "/tmp")
"""Places that the steps name: moved into the stage's folder."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One instruction."""

    name: str
    flags: dict[str, str]
    value: str

    def words(self) -> list[str]:
        """Of the exec form, or as a shell splits it."""
        return json.loads(self.value) if self.value.startswith("[") else shlex.split(self.value)

    def pairs(self) -> dict[str, str]:
        """Of ENV and LABEL."""
        return dict(word.split("=", 1) for word in shlex.split(self.value))


@dataclass(frozen=True, kw_only=True)
class Stage:
    """From one FROM to the next."""

    name: str
    base: str
    steps: list[Step] = field(default_factory=list)


def stages(text: str) -> dict[str, Stage]:
    """The Dockerfile's stages by name, ARGs replaced by their defaults."""
    found: dict[str, Stage] = {}
    args: dict[str, str] = {}
    for step in _steps(text):
        if step.name == "ARG":
            name, _, default = step.value.partition("=")
            args[name] = default
        elif step.name == "FROM":
            base, _, name = step.value.split()
            for arg, default in args.items():
                base = base.replace(f"${{{arg}}}", default)
            found[name] = Stage(name=name, base=base)
        else:
            list(found.values())[-1].steps.append(step)
    return found


def _steps(text: str) -> Iterator[Step]:
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in re.sub(r"\\\n\s*", "", lines).splitlines():
        if not line.strip():
            continue
        name, value = line.split(maxsplit=1)
        flags = dict(re.findall(r"(?:(?<=\s)|^)--([a-z-]+)=(\S+)", re.split(r"\s(?!--)|^(?!--)", value, maxsplit=1)[0]))
        yield Step(name=name, flags=flags, value=re.sub(r"^(--[a-z-]+=\S+\s+)+", "", value).strip())


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """What a stage says about its containers."""

    env: dict[str, str]
    labels: dict[str, str]
    user: str
    entrypoint: list[str]
    cmd: list[str]
    healthcheck: list[str]


def configuration(all_of: dict[str, Stage], name: str) -> Configuration:
    """Of a stage and those that it stands on."""
    chain = [all_of[name]]
    while chain[-1].base in all_of:
        chain.append(all_of[chain[-1].base])
    last: dict[str, Any] = {}
    labels: dict[str, str] = {}
    for step in (step for stage in reversed(chain) for step in stage.steps):
        if step.name == "LABEL":
            labels |= step.pairs()
        elif step.name == "HEALTHCHECK":
            last[step.name] = json.loads(step.value.removeprefix("CMD "))
        else:
            last[step.name] = step.value if step.name == "USER" else step
    return Configuration(
        env=environment(all_of, all_of[name]),
        labels=labels,
        user=last["USER"],
        entrypoint=last["ENTRYPOINT"].words(),
        cmd=last["CMD"].words(),
        healthcheck=last["HEALTHCHECK"],
    )


def environment(all_of: dict[str, Stage], stage: Stage) -> dict[str, str]:
    """ENV of a stage and of those that it stands on."""
    found = environment(all_of, all_of[stage.base]) if stage.base in all_of else {}
    for step in stage.steps:
        found |= step.pairs() if step.name == "ENV" else {}
    return found


@dataclass
class Build:
    """Takes stages' steps in folders of `home`."""

    all_of: dict[str, Stage]
    home: Path
    made: dict[str, Path] = field(default_factory=dict)
    """Stages that exist already."""

    def stage(self, name: str) -> Path:
        """The folder that stands for the stage's file system."""
        if name not in self.made:
            stage, folder = self.all_of[name], self.home / name
            folder.mkdir(parents=True)
            if stage.base in self.all_of:
                _copy_tree(self.stage(stage.base), folder)
            cwd = folder
            for step in stage.steps:
                if step.name == "WORKDIR":
                    cwd = folder / step.value.lstrip("/")
                    cwd.mkdir(parents=True, exist_ok=True)
                elif step.name == "COPY":
                    self._copy(step, folder, cwd)
                elif step.name == "RUN" and not step.value.startswith("apt-get"):
                    self._run(step, stage, folder, cwd)
            self.made[name] = folder
        return self.made[name]

    def _copy(self, step: Step, folder: Path, cwd: Path) -> None:
        *sources, target = step.words()
        base = self.stage(step.flags["from"]) if "from" in step.flags else ROOT
        to = folder / target.lstrip("/") if target.startswith("/") else cwd / target
        for start in (base / source.lstrip("/") for source in sources):
            if start.is_dir():
                _copy_tree(start, to)
            else:
                shutil.copy(start, to)

    def _run(self, step: Step, stage: Stage, folder: Path, cwd: Path) -> None:
        places = places_in(folder)
        if "mount" in step.flags:
            mount = dict(pair.split("=") for pair in step.flags["mount"].split(","))
            places[mount["target"]] = self.stage(mount["from"]) / mount["source"].lstrip("/")
        env = {name: moved(value, places) for name, value in environment(self.all_of, stage).items()}
        path = ":".join(filter(None, [env.get("PATH"), f"{sys.base_prefix}/bin", "/usr/bin", "/bin"]))
        outside = {name: value for name, value in os.environ.items() if name.startswith("PIP_") or name.lower().endswith("_proxy")}
        command = ["bash", "-euc", moved(step.value, places)]
        whole = {**outside, "HOME": str(Path.home()), **env, "PATH": path}
        done = subprocess.run(command, cwd=cwd, env=whole, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{stage.name}: {step.value}\n{done.stdout}\n{done.stderr}"


def places_in(folder: Path) -> dict[str, Path]:
    """Where the image's places are in a stage's folder."""
    return {place: folder / place.lstrip("/") for place in _OURS}


def moved(text: str, places: dict[str, Path]) -> str:
    """The same text with the image's places, and its user where this one is not root, replaced by those of here."""
    found = re.sub("|".join(rf"(?<![\w.]){re.escape(place)}(?![\w.-])" for place in places), lambda hit: str(places[hit[0]]), text)
    return found if os.geteuid() == 0 else found.replace("-o 10001 -g 10001", "")


def _copy_tree(source: Path, target: Path) -> None:
    """With owners. What lies in site-packages is only pointed to: 67,000 files that no step changes."""
    target.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        os.chown(target, source.stat().st_uid, source.stat().st_gid)
    for entry in source.iterdir():
        to = target / entry.name
        if entry.is_symlink():
            to.symlink_to(entry.readlink())
        elif source.name == "site-packages":
            to.symlink_to(entry)
        elif entry.is_file():
            shutil.copy2(entry, to)
        elif entry.name != "__pycache__":  # as .dockerignore says
            _copy_tree(entry, to)


def prepared() -> Path:
    """Where the stages are that take minutes: one place for each thing that they may install."""
    steps = [step.value for name in PREPARED for step in stages(DOCKERFILE.read_text())[name].steps]
    (extras,) = [found[1].split() for step in steps if (found := re.match(r"python requirements\.py ([\w ]+) >", step))]
    command = [sys.executable, "deploy/requirements.py", *extras]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    wanted = [(ROOT / "constraints.txt").read_text(), names, steps, sys.version]
    return CACHE / hashlib.sha256(json.dumps(wanted).encode()).hexdigest()[:12]


def main() -> None:
    """Set-up: have those stages, whole or not at all."""
    target = prepared()
    if target.exists():
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=CACHE))
    part.chmod(0o755)
    build = Build(stages(DOCKERFILE.read_text()), part)
    for name in PREPARED:
        build.stage(name)
    with contextlib.suppress(OSError):  # somebody else was faster
        part.rename(target)
    shutil.rmtree(part, ignore_errors=True)


if __name__ == "__main__":
    main()
