"""Command blocks of the documentation: each is executed by a test that it names, or says why it is not.

<!-- run by test_backup_and_restore -->          the line before the fence; that test takes the fixture `doc_blocks` and runs them
<!-- not run here: needs a cluster -->
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
_SHELLS = {"sh", "bash", "shell", "console", "zsh"}
_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,}) *(?P<language>[^\s`{]*)")
_RUN_BY = re.compile(r"^<!-- run by (?P<test>test_\w+) -->$")
_NOT_RUN = re.compile(r"^<!-- not run here: (?P<reason>\S.*) -->$")


@dataclass(frozen=True, kw_only=True)
class Block:
    """One fenced block of commands."""

    file: Path
    line: int
    """Of its fence, from 1."""
    text: str
    test: str | None
    """The test that executes it."""
    reason: str | None
    """Why none does."""

    @property
    def place(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line}"

    def run(
        self, *, cwd: Path, env: Mapping[str, str] | None = None, replace: Mapping[str, str] | None = None, timeout: float = 120
    ) -> str:
        """Execute it as bash does, up to the first command that fails; gives what it printed. `replace`: ports and paths of this test."""
        text = self.text
        for before, after in (replace or {}).items():
            assert before in text, f"{self.place} has no {before!r}"
            text = text.replace(before, after)
        whole = {**os.environ, **(env or {})}
        command = ["bash", "-euo", "pipefail", "-c", text]
        done = subprocess.run(command, cwd=cwd, env=whole, capture_output=True, text=True, timeout=timeout, check=False)
        assert done.returncode == 0, f"{self.place} failed with {done.returncode}:\n{text}\n{done.stdout}\n{done.stderr}"
        return done.stdout


def documents() -> list[Path]:
    """README, CONTRIBUTING, and everything in docs/."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(file: Path) -> list[Block]:
    """Every block of shell commands of a file, in order."""
    return blocks_in(file.read_text(), file)


def blocks_in(text: str, file: Path) -> list[Block]:
    """The same, of a text that would stand in `file`."""
    found: list[Block] = []
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        opens = _FENCE.match(lines[at])
        if opens is None:
            at += 1
            continue
        first = at + 1
        end = next((i for i in range(first, len(lines)) if lines[i].strip() == opens["fence"]), len(lines))
        if opens["language"] in _SHELLS:
            before = lines[at - 1].strip() if at else ""
            run_by, not_run = _RUN_BY.match(before), _NOT_RUN.match(before)
            body = "\n".join(line.removeprefix(opens["indent"]) for line in lines[first:end])
            test, reason = run_by and run_by["test"], not_run and not_run["reason"]
            found.append(Block(file=file, line=first, text=body, test=test, reason=reason))
        at = end + 1
    return found


def blocks_run_by(test: str) -> list[Block]:
    """Every block that names this test, by file and place in it."""
    return [block for file in documents() for block in blocks(file) if block.test == test]


@cache
def tests_that_run_blocks() -> frozenset[str]:
    """Names of the tests that take the fixture `doc_blocks`."""
    found: set[str] = set()
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef) and any(arg.arg == "doc_blocks" for arg in node.args.args):
                found.add(node.name)
    return frozenset(found)


def fault(block: Block) -> str | None:
    """What is wrong with a block's marker; None = nothing."""
    if block.reason is not None:
        return None
    if block.test is None:
        return "put `<!-- run by test_NAME -->` or `<!-- not run here: REASON -->` on the line before (CONTRIBUTING.md)"
    if block.test not in tests_that_run_blocks():
        return f"no test called {block.test} takes the fixture doc_blocks"
    return None
