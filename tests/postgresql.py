"""A real PostgreSQL of the test session's own: no port, a socket in a folder of its own, as a user who is not root."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path

import psycopg2

_USERS = ("postgres", "nobody")
_FAST = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=100 -c listen_addresses="


@dataclass
class Server:
    """Where it listens, and a place of their own for those who ask."""

    socket: Path
    _control: Callable[..., None]
    _numbers: Iterator[int] = field(default_factory=count)

    def new_database(self) -> str:
        """URL at which nothing is: a new schema (a new database would be 300 files)."""
        name = f"t{next(self._numbers)}"
        admin = psycopg2.connect(host=str(self.socket), user="postgres", dbname="postgres")
        admin.autocommit = True
        with closing(admin), admin.cursor() as cursor:
            cursor.execute(f"CREATE SCHEMA {name}")
        return f"postgresql+psycopg2://postgres@/postgres?host={self.socket}&options=-csearch_path%3D{name}"

    def restart(self) -> None:
        """Every connection is cut; what was committed is there again."""
        self._control("-m", "fast", "restart")


def installed() -> Path | None:
    """Where the newest PostgreSQL's programs are (Debian keeps them out of PATH)."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else next((Path(p).parent for p in [shutil.which("initdb")] if p), None)


@contextmanager
def running(bin_: Path) -> Iterator[Server]:
    """Started in a new folder, gone with it at the end."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # a socket's path has at most 107 characters: no room for pytest's own folders
    user = _other_user()
    if user:
        shutil.chown(folder, user)
    data, log = folder / "data", folder / "log"

    def as_user(*command: object) -> None:
        prefix = ["setpriv", f"--reuid={user}", f"--regid={pwd.getpwnam(user).pw_gid}", "--clear-groups"] if user else []
        done = subprocess.run([*prefix, *map(str, command)], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command[0]}: {done.stderr}\n{log.read_text() if log.exists() else ''}"

    as_user(bin_ / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
    control = partial(as_user, bin_ / "pg_ctl", "-D", data, "-l", log, "-w", "-t", "60")
    control("-o", f"{_FAST} -k {folder}", "start")
    try:
        yield Server(folder, control)
    finally:
        control("-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


def _other_user() -> str | None:
    """Who runs it: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in _USERS if name in known)
