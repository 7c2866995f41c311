"""Pages of the documentation, and what stands in their code blocks.

A block that begins with a comment of a name alone (``# mlgov.yaml``) is that file. Blocks of ``bash`` are run, all
of a page as by one shell. Each line of a block of ``text`` was printed by the one before it. A comment of HTML on the
line above a block is its mark: the page does not run it, and the mark says why, or which test does.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*(ROOT / "docs").glob("*.md"), *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md"))]
)
_OF_THE_REFERENCE = {
    "mlgov demo --keep\n": 'run by: tests/demo/test_story.py: "demo"',
    "mlgov gate features ": 'run by: tests/gates/test_feature_store.py: "features"',
}
"""Text of a block on the page that is made from the code, and holds no marks -> its mark."""
_FENCE = re.compile(
    r"^(?P<indent> *)(?:<!-- (?P<mark>(?:not run|run by|held by): [^\n]*?) -->\n *)?"
    r"```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
_FILE = re.compile(r"#\s*([\w./-]+\.\w+)\n")


@dataclass(frozen=True)
class Block:
    """A code block of a page."""

    page: str
    line: int
    language: str
    text: str
    mark: str | None = None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def file(self) -> str | None:
        """The name of the file that it is; None if it is none."""
        named = _FILE.match(self.text)
        return named[1] if named else None

    def commands(self) -> Iterator[str]:
        """The command lines of bash: continued lines joined, comments and what is piped or chained apart."""
        for line in re.sub(r"\\\n\s*", " ", self.text).splitlines():
            yield from re.split(r"\s(?:\|\||&&|\||;)\s|\$\(|\s#\s", line)


def blocks(page: Path) -> list[Block]:
    """Every code block of a page, in order."""
    text = page.read_text()
    return [
        Block(
            str(page.relative_to(ROOT)),
            text.count("\n", 0, found.start("language")) + 1,
            found["language"],
            re.sub(f"^{found['indent']}", "", found["text"], flags=re.MULTILINE),
            found["mark"]
            or next((mark for text, mark in _OF_THE_REFERENCE.items() if found["text"].startswith(text)), None),
        )
        for found in _FENCE.finditer(text)
    ]


TOLD = {
    "docs/tutorial.md": "tests/live/test_tutorial.py",
    "docs/playbook.md": "tests/documentation/test_playbook.py",
    "docs/drills.md": "tests/documentation/test_drills.py",
}
"""Pages that tell a story: the test that does what they say."""


def played() -> list[str]:
    """The other pages with commands, which :mod:`tests.documentation.test_pages` runs."""
    names = {block.page for page in PAGES for block in blocks(page) if block.language == "bash" and not block.mark}
    return sorted(names - TOLD.keys())


def files(page: str) -> dict[str, str]:
    """The files that a page of ``docs/`` shows, by name."""
    return {block.file: block.text for block in blocks(ROOT / "docs" / page) if block.file}


def example(page: str, name: str) -> dict[str, Any]:
    """What a file of Python on a page of ``docs/`` defines, once it was run."""
    defined: dict[str, Any] = {}
    exec(compile(files(page)[name], f"{page}/{name}", "exec"), defined)
    return defined


class Playing:
    """A reader with one shell, who does what a page says in order: writes its files, runs its commands.

    What a command leaves running ends with it.

    :param variables: of the shell, beside this process's own, less those of the tests' Airflow
    :param instead: what is read in place of what the page says, such as a port
    """

    def __init__(
        self, page: Path, folder: Path, variables: Mapping[str, str], instead: Mapping[str, str] | None = None
    ) -> None:
        self._folder, self._blocks, self._at = folder, blocks(page), 0
        self._text, self._instead = page.read_text(), {} if instead is None else instead
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        own = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        self._variables = {**own, **variables, "PATH": path}
        self._sessions: list[int] = []
        self._seen = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for session in self._sessions:
            for sign in (signal.SIGTERM, signal.SIGKILL):
                with suppress(ProcessLookupError):
                    os.killpg(session, sign)
                    time.sleep(2)

    def play(self, until: str = "") -> str:
        """Go on to where a text stands on the page, or to its end; what was printed."""
        stop = self._text.count("\n", 0, self._text.index(until)) + 1 if until else sys.maxsize
        printed = []
        while self._at < len(self._blocks) and self._blocks[self._at].line < stop:
            block = self._blocks[self._at]
            self._at += 1
            if block.file:
                self._lay(block)
            elif block.mark:
                continue
            elif block.language == "bash":
                printed.append(self._run(block))
            elif block.language == "text":
                missing = [line for line in block.text.splitlines() if line not in self._seen]
                assert not missing, f"{block}: not printed: {missing}\n{self._seen}"
        return "\n".join(printed)

    def lay_out(self) -> None:
        """Have every file of the page from the beginning, where it tells no story."""
        for block in self._blocks:
            if block.file:
                self._lay(block)

    def log(self, name: str) -> str:
        """The end of a file that a command writes."""
        path = self._folder / name
        return path.read_text(errors="replace")[-2000:] if path.exists() else f"no {name}"

    def _lay(self, block: Block) -> None:
        path = self._folder / str(block.file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self._read(block).partition("\n")[2])

    def _read(self, block: Block) -> str:
        text = block.text
        for said, read in self._instead.items():
            text = text.replace(said, read)
        return text

    def _run(self, block: Block) -> str:
        text = self._read(block)
        kept = self._folder / ".variables"
        script = f"{text}\nexport -p > '{kept}'\n"
        if kept.exists():
            script = f". '{kept}'\n{script}"
        out = self._folder / f".printed-{block.line}"
        with out.open("w") as file:
            shell = subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", script], cwd=self._folder, env=self._variables,
                stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
            self._sessions.append(shell.pid)
            code = shell.wait(timeout=600)
        self._seen = out.read_text(errors="replace")
        assert code == 0, f"{block}: exit code {code}\n{self._seen}"
        return self._seen


def play(page: Path, folder: Path, variables: Mapping[str, str]) -> str:
    """Do all that a page says; what was printed."""
    with Playing(page, folder, variables) as playing:
        return playing.play()
