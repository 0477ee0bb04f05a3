"""One command of a run on a machine that has none of the run's files: fetch them, run it, bring back what it made.

    python -m retrain.away --store s3://BUCKET/PREFIX --prefix runs/MODEL/RUN --key KEY --dir FOLDER -- python -P -m retrain train …

The folder is this process's alone (a scratch volume). Checkpoints go to the store as they come, the outcome when the command has ended,
its index last. An attempt begins at the newest checkpoint of any attempt of its run. SIGTERM is passed on, so that the command can write a
checkpoint, which is then still brought home. The exit code is the command's (128 + n for signal n).
"""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from retrain.bundle import Index, entry, pack, read_index, unpack
from retrain.layout import RunFolder
from retrain.store import open_store
from retrain.types import EXIT_PERMANENT, EXIT_TRANSIENT, Permanent, Reason, Transient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrain.store import Store

LOOK_S = 0.5
"""How often a running command's new checkpoints are looked for."""
FINAL = frozenset({0, EXIT_PERMANENT})
"""Exit codes after which an attempt is over: done, and permanent. Any other one says that running it again may help."""
NOT_CARRIED = frozenset({"jobs", "checkpoints"})
"""Of a run's folder: the executor's own notes; checkpoints go by themselves."""
_CHECKPOINT = re.compile(r"/checkpoint-(\d{6,})\.json$")


@dataclass(kw_only=True)
class Away:
    """One attempt."""

    store: Store
    prefix: str
    key: str
    run: RunFolder
    most_bytes: int
    sent: set[str] = field(default_factory=set)
    """Checkpoints that are in the store."""

    def fetch(self) -> Index:
        """Inputs, and the newest checkpoint that can be read unless training is complete."""
        inputs = read_index(self.store, self.prefix, f"{self.key}/inputs")
        if inputs is None:
            raise Permanent(Reason.NOT_FOUND, f"the store has no inputs for {self.key}")
        unpack(self.store, self.prefix, inputs, self.run.root, most_bytes=self.most_bytes)
        if not self.run.candidate_file.is_file():
            self._resume()
        return inputs

    def _resume(self) -> None:
        found = [(int(m[1]), name) for name in self.store.names(self.prefix) if (m := _CHECKPOINT.search(name))]
        for _, name in sorted(found, reverse=True):
            index = read_index(self.store, self.prefix, name.removeprefix(f"{self.prefix}/").removesuffix(".json"))
            try:
                if index is not None:
                    unpack(self.store, self.prefix, index, self.run.root, most_bytes=self.most_bytes)
                    self.sent |= {path.parent.name for path in self.run.checkpoints.glob("step-*/.complete")}
                    return
            except (Transient, Permanent) as e:
                sys.stderr.write(f"{name} cannot be read ({e}); the one before it is older, not wrong\n")

    def send_checkpoints(self) -> None:
        """New complete checkpoints; one that the command removes meanwhile is left out."""
        for marker in sorted(self.run.checkpoints.glob("step-*/.complete")):
            name = marker.parent.name
            if name in self.sent:
                continue
            try:
                files = [path for path in marker.parent.iterdir() if path.is_file()]
                where = f"{self.key}/checkpoint-{name.removeprefix('step-')}"
                pack(self.store, self.prefix, where, self.run.root, files, most_bytes=self.most_bytes)
                self.sent.add(name)
            except FileNotFoundError:
                continue
            except Transient as e:
                sys.stderr.write(f"{name} is not in the store yet: {e}\n")

    def send_outcome(self, inputs: Index, code: int) -> None:
        """All that is new or changed; then the index with the exit code."""
        changed = [p for p in files_of(self.run.root) if inputs.files.get(p.relative_to(self.run.root).as_posix()) != entry(p)]
        pack(self.store, self.prefix, f"{self.key}/outcome", self.run.root, changed, most_bytes=self.most_bytes, code=code)


def files_of(root: Path) -> Iterator[Path]:
    """Files of a run's folder that are carried."""
    for path in root.rglob("*"):
        if path.is_file() and path.relative_to(root).parts[0] not in NOT_CARRIED and not path.name.startswith("."):
            yield path


def work(away: Away, command: list[str]) -> int:
    """Fetch, run, bring home; the command's exit code."""
    running: list[subprocess.Popen[bytes]] = []
    stopped = threading.Event()

    def stop(*_: object) -> None:
        stopped.set()
        for child in running:
            child.terminate()

    signal.signal(signal.SIGTERM, stop)
    done = read_index(away.store, away.prefix, f"{away.key}/outcome")
    if done is not None and done.code in FINAL:
        return done.code  # an earlier process of this attempt brought it home and was then lost
    inputs = away.fetch()
    if stopped.is_set():
        raise Transient(Reason.INTERRUPTED, "stopped before the command began")
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as child:  # noqa: S603 (the service's own command)
        running.append(child)
        if stopped.is_set():  # between the look above and now
            child.terminate()
        code = None
        while code is None:
            try:
                code = child.wait(timeout=LOOK_S)
            except subprocess.TimeoutExpired:
                away.send_checkpoints()
    away.send_checkpoints()
    code = 128 - code if code < 0 else code
    away.send_outcome(inputs, code)
    return code


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; the exit code."""
    asked = _parser().parse_args(arguments)
    away = Away(
        store=open_store(asked.store, endpoint=asked.endpoint, region=asked.region),
        prefix=asked.prefix,
        key=asked.key,
        run=RunFolder(asked.dir),
        most_bytes=asked.most_bytes,
    )
    try:
        return work(away, asked.command)
    except Transient as e:
        sys.stderr.write(f"transient: {e}\n")
        return EXIT_TRANSIENT
    except Permanent as e:
        sys.stderr.write(f"permanent: {e}\n")
        return EXIT_PERMANENT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m retrain.away", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", required=True, help="s3://BUCKET[/PREFIX] or a folder")
    parser.add_argument("--endpoint", default=None)
    parser.add_argument("--region", default=None)
    parser.add_argument("--prefix", required=True, help="the run's place in the store")
    parser.add_argument("--key", required=True, help="of this attempt")
    parser.add_argument("--dir", type=Path, required=True, help="the run's folder here")
    parser.add_argument("--most-bytes", type=int, default=8 * 2**30)
    parser.add_argument("command", nargs="+")
    return parser


if __name__ == "__main__":
    sys.exit(main())
