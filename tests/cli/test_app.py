"""The list of commands says what each says of itself, and imports none of them."""

import subprocess
import sys

import pytest

from airflow_mlgov.cli.app import COMMANDS, _loaded
from tests.fixtures.shell import Run


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_what_the_command_says(name: str) -> None:
    assert COMMANDS[name].help
    assert " ".join((_loaded(name).help or "").split()).startswith(COMMANDS[name].help)


def test_a_word_that_is_none_is_named_with_what_is_near(run: Run) -> None:
    code, _, err = run("verif")
    assert code == 2
    assert "Did you mean 'verify'?" in err


@pytest.mark.parametrize(
    ("words", "never"),
    [
        (["--help"], ["pydantic", "yaml", "sqlalchemy", "rich", "requests"]),
        (["verify", "--help"], ["mlflow", "duckdb", "jsonschema", "sqlalchemy"]),
        (["gate", "fairness", "--help"], ["mlflow", "sqlalchemy", "pandas"]),
    ],
)
def test_what_is_not_asked_for_is_not_imported(words: list[str], never: list[str]) -> None:
    script = (
        "import sys\nfrom airflow_mlgov.cli import main\n"
        f"sys.argv = ['mlgov', *{words!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        f"print('imported:', *[name for name in {never!r} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.splitlines()[-1].strip() == "imported:", done.stdout
