"""What the command line says of itself: its version, its codes, what a word may become in a shell."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_mlgov import __version__
from airflow_mlgov.error_codes import MEANINGS
from airflow_mlgov.governance.reasons import reasons
from tests.fixtures.shell import Run


def test_the_version(run: Run) -> None:
    assert run("--version") == (0, f"mlgov {__version__}\n", "")


def test_every_code_is_explained(run: Run) -> None:
    for code in (*MEANINGS, *reasons()):
        assert run("explain", code)[0] == 0
    code, out, _ = run("explain", "[bound.not_met]", "--json")
    assert (code, json.loads(out)[0]["mend"]) == (0, reasons()["bound.not_met"].mend)
    code, _, err = run("explain", "ledger.dwn")
    assert code == 2
    assert "did you mean 'ledger.down'?" in err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_for_each_shell(run: Run, shell: str) -> None:
    code, out, _ = run("completion", shell)
    assert code == 0
    assert "_MLGOV_COMPLETE" in out
    assert run("completion", "tcsh")[0] == 2


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("pro", {"promote"}),
        ("gate fair", {"fairness"}),
        ("promote --t", {"--target", "--trust"}),
        (
            "ledger ",
            {
                "list",
                "search",
                "add",
                "verify",
                "show",
                "checkpoint",
                "quarantine",
                "export",
                "erase",
                "person",
                "rebuild",
            },
        ),
    ],
)
def test_bash_completes_and_asks_for_no_setting(typed: str, offered: set[str], tmp_path: Path) -> None:
    bash, program = shutil.which("bash"), Path(sys.executable).with_name("mlgov")
    if bash is None:
        pytest.skip("there is no bash here")
    words = ["mlgov", *typed.split(" ")]
    script = (
        f'source <("{program}" completion bash)\n'
        f"COMP_WORDS=({' '.join(word or chr(39) * 2 for word in words)}); COMP_CWORD={len(words) - 1}\n"
        f'_mlgov_completion "{program}"\n'
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    env = {"PATH": f"{program.parent}:{os.environ['PATH']}", "HOME": str(tmp_path), "AIRFLOW_HOME": str(tmp_path)}
    done = subprocess.run([bash, "-c", script], capture_output=True, text=True, timeout=120, env=env, check=True)
    assert set(done.stdout.split()) == offered, done.stderr
