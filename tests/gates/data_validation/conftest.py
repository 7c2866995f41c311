"""Great Expectations in the tests' own process, which it takes seconds to import in another; tests of the child itself
are in ``test_handed.py``."""

from types import SimpleNamespace
from typing import Any

import pytest

from airflow_mlgov.gates.children.scripts import suite_run
from airflow_mlgov.gates.data_validation import handed


@pytest.fixture
def no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child's script, run here."""

    def ask(_backend: Any, _python: str, request: dict[str, Any], **_: Any) -> SimpleNamespace:
        libraries = {"great-expectations": "1", "pandas": "3", "duckdb": "2"} if request["runs"] else {}
        return SimpleNamespace(content=suite_run.answer(request), libraries=libraries, child={})

    monkeypatch.setattr(suite_run, "_limit_memory", lambda _limit: None)
    monkeypatch.setattr(handed, "ask", ask)


@pytest.fixture
def on_numpy(no_child: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Great Expectations over a frame of NumPy's types, as most people use it."""
    import pyarrow as pa

    def frame(rows: Any) -> Any:
        return pa.ipc.open_stream(rows.read_bytes()).read_all().to_pandas()

    monkeypatch.setattr(suite_run, "_frame", frame)
