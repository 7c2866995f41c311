"""The command line as a shell sees it."""

import sys
from collections.abc import Callable

import pytest

from airflow_mlgov import cli

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """``run("gate", "data", …)`` -> exit code, stdout, stderr."""

    def go(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mlgov", *map(str, words)])
        capsys.readouterr()  # what the test itself had printed
        with pytest.raises(SystemExit) as end:
            cli.main()
        seen = capsys.readouterr()
        return int(end.value.code or 0), seen.out, seen.err

    return go
