"""Runs Great Expectations, and the SQL of a suite, over rows in Arrow files, by an interpreter that has this package.
Takes no more memory than it is told; whoever asks ends it when its time is over."""

from __future__ import annotations

import dataclasses
import importlib
import sys
from pathlib import Path
from typing import Any

READS_ROWS = True


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """What each run of Great Expectations and each query found.

    :param request: ``folder``, ``memory`` (bytes), ``suite``, ``modules`` and ``path`` of expectations that are not
        Great Expectations' own; ``runs`` of ``rows`` (a file), ``expectations`` and ``docs``; ``queries`` of ``rows``,
        ``position`` and ``sql``
    """
    sys.path.extend(entry for entry in request["path"] if entry not in sys.path)
    folder = Path(request["folder"])
    queries = [_query(folder / query["rows"], query["sql"], request["memory"]) for query in request["queries"]]
    runs = []
    if request["runs"]:
        gx = importlib.import_module("airflow_mlgov.gates.data_validation.gx")
        importlib.import_module("great_expectations.expectations.core")
        for module in request["modules"]:
            importlib.import_module(module)
        _limit_memory(request["memory"])
        expectation = importlib.import_module("airflow_mlgov.gates.data_validation.expectations").Expectation
        for run in request["runs"]:
            items = [expectation(**item) for item in run["expectations"]]
            docs = Path(run["docs"]) if run["docs"] else None
            found = gx.run_suite(_frame(folder / run["rows"]), request["suite"], items, docs)
            runs.append(dataclasses.asdict(found))
    return {"runs": runs, "queries": queries}


def _query(rows: Path, sql: str, memory: int) -> dict[str, Any]:
    """How many rows a SELECT over ``data`` gives, by a DuckDB that reaches nothing else; or why it does not."""
    duckdb = importlib.import_module("duckdb")
    pa = importlib.import_module("pyarrow")
    with pa.memory_map(str(rows)) as file, duckdb.connect(":memory:", config={"memory_limit": f"{memory}B"}) as duck:
        table = pa.ipc.open_stream(file).read_all()
        duck.register("data", table)
        for setting in (
            "enable_external_access = false",
            "autoinstall_known_extensions = false",
            "autoload_known_extensions = false",
            "python_enable_replacements = false",
            "lock_configuration = true",
        ):
            duck.execute(f"SET {setting}")
        try:
            (plan,) = [text for _, text in duck.execute(f"EXPLAIN {sql}").fetchall()][-1:]
            if "Empty Result" in plan or "EMPTY_RESULT" in plan:
                return {"error": "it gives no row whatever the data is"}
            (count,) = duck.execute(f"SELECT count(*) FROM ({sql}) AS rows").fetchall()[0]  # noqa: S608 - checked before
        except duckdb.OutOfMemoryException:
            return {"error": "it needs more than memory_limit"}
        except duckdb.Error as error:
            return {"error": type(error).__name__.removesuffix("Exception")}
        return {"rows": int(count)}


def _frame(rows: Path) -> Any:
    """The rows with Arrow's own types, so that nothing is rounded on the way."""
    pa, pd = importlib.import_module("pyarrow"), importlib.import_module("pandas")
    with pa.memory_map(str(rows)) as file:
        return pa.ipc.open_stream(file).read_all().to_pandas(types_mapper=pd.ArrowDtype)


def _limit_memory(limit: int) -> None:
    """Further memory, beyond what the libraries have taken by now; kept by Linux alone."""
    try:
        resource = importlib.import_module("resource")
        taken = next(
            int(line.split()[1]) * 1024
            for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines()
            if line.startswith("VmData:")
        )
        resource.setrlimit(resource.RLIMIT_DATA, (taken + limit, taken + limit))
    except (ImportError, OSError, StopIteration, ValueError):
        return
