"""The list of commands says what each says of itself, and imports none of them."""

import subprocess
import sys
import textwrap
from pathlib import Path

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


def test_of_signers_nobody_asked_for_no_library_is_imported(tmp_path: Path) -> None:
    """And the first that is asked for is securesystemslib's own."""
    script = textwrap.dedent(f"""
        import sys
        from airflow_mlgov.cli import main
        sys.argv = ["mlgov", "ledger", "list", "--ledger", "sqlite:///{tmp_path}/ledger.db"]
        try:
            main()
        except SystemExit:
            pass
        from airflow_mlgov.cli.postponed import SIGNERS
        from airflow_mlgov.errors import ConfigurationError
        from airflow_mlgov.evidence.signing import open_signer
        from securesystemslib import signer
        print([name for name in ("boto3", "botocore", "hvac", "azure", "google.cloud.kms") if name in sys.modules])
        for name, scheme in SIGNERS.values():
            assert scheme in signer.SIGNER_FOR_URI_SCHEME
            try:
                open_signer(f"{{scheme}}:somewhere", object)
            except ConfigurationError as error:
                print(error.code)
            real = getattr(signer, name)
            assert real is signer.SIGNER_FOR_URI_SCHEME[scheme], name
            assert issubclass(real, signer.Signer) and real.SCHEME == scheme, name
    """)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.splitlines()[-5:] == ["[]", *["signer.unusable"] * 4], (done.stdout, done.stderr)


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
