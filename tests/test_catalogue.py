"""Gates of this package and of strangers."""

import subprocess
import sys
import textwrap
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest

from airflow_mlgov import catalogue
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.extras import offered


def test_names_are_known_without_importing_a_gate() -> None:
    script = "import sys; from airflow_mlgov import catalogue; catalogue.names(); print('pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert {"data_validation", "performance", "fairness", "tfdv", "feature_service"} <= set(catalogue.names())


@pytest.mark.parametrize("group", [catalogue.GROUP, "console_scripts", "offered.by.nobody"])
def test_what_packages_offer_is_what_importlib_says(group: str) -> None:
    def shown(entries: Iterable[EntryPoint]) -> list[tuple[str, str, str]]:
        return sorted((entry.name, entry.value, str(entry.dist and entry.dist.name)) for entry in entries)

    assert shown(offered(group)) == shown(entry_points(group=group))


def test_an_unknown_gate_is_named_with_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'fairness'") as caught:
        catalogue.load("fairnes")
    assert caught.value.code == "gate.unknown"


@pytest.mark.parametrize(
    ("entry", "module", "code"),
    [
        ("toxicity = stranger:GATE", "raise RuntimeError('no such thing')", "gate.broken"),
        ("toxicity = stranger:GATE", "GATE = 1", "gate.broken"),
        ("toxicity = stranger:GONE", "", "gate.broken"),
        ("fairness = stranger:GATE", "", "gate.twice"),
    ],
)
def test_a_strangers_gate_that_does_not_hold_is_an_error_that_names_it(
    tmp_path: Path, entry: str, module: str, code: str
) -> None:
    info = tmp_path / "stranger-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[airflow_mlgov.gates]\n{entry}\n")
    (tmp_path / "stranger.py").write_text(module)
    script = textwrap.dedent(f"""
        import sys
        sys.path.insert(0, {str(tmp_path)!r})
        from airflow_mlgov import catalogue
        from airflow_mlgov.errors import ConfigurationError
        try:
            catalogue.load({entry.split()[0]!r})
        except ConfigurationError as error:
            print(error.code, error)
    """)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(code)
    assert "stranger" in done.stdout
