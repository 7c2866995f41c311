"""Inputs that want more memory, or more time, than a gate may take; and a process in which one after the other is
judged, each in a child whose address space the kernel ends. ``python -m tests.worlds.excess`` reads orders from its
standard input, and answers each with a line of JSON."""

from __future__ import annotations

import gzip
import json
import os
import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

MIB = 1 << 20
LIBRARIES, FOR_A_CORE = 64 * MIB, 48 * MIB
"""What the gates' libraries may take here, where all of them are imported before."""
KERNEL = 1 << 30
"""Bytes of address space beyond the limit after which the kernel ends a child."""
BESIDE = 320
"""Megabytes beyond the limit that a child may have touched."""
LATE = 10.0
"""Seconds beyond the limit in which everything is over on an idle machine."""


@dataclass(frozen=True)
class Gate:
    """How a gate is asked about the columns id, y, p, s, g and t."""

    name: str
    settings: Mapping[str, Any]
    bounds: tuple[str, ...] = ()


def _expect(kind: str, **kwargs: Any) -> dict[str, Any]:
    return {"type": f"expect_{kind}", "kwargs": kwargs}


_SUITE = {
    "name": "applicants",
    "expectations": [
        _expect("column_values_to_be_unique", column="g"),
        _expect("column_values_to_match_regex", column="g", regex="^(g+)+[0-9]*$"),
        _expect("column_values_to_be_in_set", column="g", value_set=["g1", "g2"]),
        _expect("column_quantile_values_to_be_between", column="s",
                quantile_ranges={"quantiles": [0.1, 0.9], "value_ranges": [[0, 1], [0, 1]]}),
        _expect("compound_columns_to_be_unique", column_list=["id", "g"]),
    ],
}  # fmt: skip
GATES = {
    "data_validation": Gate("data_validation", {"suite": _SUITE}),
    "dataset_checks": Gate(
        "data_validation",
        {
            "suite": {"name": "s", "expectations": [_expect("column_to_exist", column="y")]},
            "checks": {"drift": {"psi": {"max": 0.2}}, "overlap": {"keys": ["id", "g"], "max": 0.99}},
        },
    ),
    "performance": Gate(
        "performance",
        {"label": "y", "score": "s", "slices": ["g"], "min_slice_size": 1},
        ("roc_auc>=0", "log_loss<=9", "roc_auc_worst_slice>=0"),
    ),
    "fairness": Gate(
        "fairness",
        {"label": "y", "prediction": "p", "score": "s", "sensitive_features": ["g"]},
        ("demographic_parity_difference<=1", "roc_auc_difference<=1"),
    ),
    "evaluation": Gate(
        "evaluation", {"row_id": "id", "slices": ["g"]}, ("s_mean>=0", "s_p90<=1", "y_rate>=0", "s_mean_worst_slice>=0")
    ),
    "policy": Gate("policy", {"packages": ["mlgov.pii", "mlgov.pipeline"]}),
}


@dataclass(frozen=True)
class Input:
    """Rows, and what of them is more than a gate may have."""

    make: Callable[[Path], Any]
    memory_limit: str = "512MB"
    time_limit: float = 60.0
    settings: Mapping[str, Any] = field(default_factory=dict)


def _columns(groups: str = "i % 7", length: int = 1, wide: int = 0) -> str:
    more = "".join(f", (i * {at + 3} % 1000) AS c{at}" for at in range(wide))
    return (
        "i AS id, (i % 2)::INTEGER AS y, (i % 3 = 0)::INTEGER AS p, (i * 0.61803398875 % 1)::DOUBLE AS s, "
        f"repeat('g', {length}) || ({groups}) AS g, md5(i::VARCHAR) AS t{more}"
    )


def _written(name: str, rows: int, form: str = "", **how: Any) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        import duckdb

        select = f"SELECT {_columns(**how)} FROM range({rows}) r(i)"
        with duckdb.connect() as connection:
            connection.execute(f"COPY ({select}) TO '{folder / name}' (FORMAT {form or name.split('.')[1]})")
        return str(folder / name)

    return make


def _files(name: str, count: int) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        _written(f"0.{name}", 50)(folder)
        for at in range(1, count):
            os.link(folder / f"0.{name}", folder / f"{at}.{name}")
        return str(folder / f"*.{name}")

    return make


def _text(name: str, head: str, row: str, times: int = 1) -> Callable[[Path], str]:
    def make(folder: Path) -> str:
        opened: Any = gzip.open if name.endswith(".gz") else open
        kwargs: dict[str, Any] = {"compresslevel": 1} if name.endswith(".gz") else {}
        with opened(folder / name, "wt", **kwargs) as file:
            file.write(head)
            for _ in range(times):
                file.write(row)
        return str(folder / name)

    return make


_ROW = "i AS id, i % 2 AS y, i % 3 = 0 AS p, (i % 100) / 100.0 AS s, 'g' || i % 7 AS g, i AS t"
_ALL_WITH_ALL = (
    "f AS (SELECT i FROM r LIMIT 100000) SELECT a.i AS id, 1 AS y, 1 AS p, 0.5 AS s, 'g' AS g, 1 AS t "
    "FROM f a, f b WHERE a.i + b.i < 0"
)
_LONG = "SELECT i AS id, i % 2 AS y, 1 AS p, 0.5 AS s, hex(zeroblob(400000)) || i AS g, 1 AS t FROM r LIMIT 60"
_LONGEST = "SELECT 1 AS id, 1 AS y, 1 AS p, 0.5 AS s, hex(zeroblob(200000000)) AS g, 1 AS t"
_LINE = {"id": 1, "y": 1, "p": 1, "s": 0.5, "g": "g", "t": "t"}
_ENDLESS = "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r)"


def _sqlite(query: str) -> Callable[[Path], Any]:
    def make(folder: Path) -> Any:
        from airflow_mlgov.data.database import SqlSource

        sqlite3.connect(folder / "rows.db").close()
        (folder / "rows.db").touch()
        return SqlSource(f"sqlite:///{folder / 'rows.db'}", query=query)

    return make


def _frame(rows: int, length: int = 1) -> Callable[[Path], Any]:
    def make(_: Path) -> Any:
        import numpy as np
        import pandas as pd

        at = np.arange(rows)
        text = "g" * length
        return pd.DataFrame(
            {
                "id": at,
                "y": at % 2,
                "p": (at % 3 == 0).astype(int),
                "s": at * 0.61803398875 % 1,
                "g": pd.Series([f"{text}{i % 1000}" for i in range(rows)], dtype=object),
                "t": at.astype(str),
            }
        )

    return make


def _arrow(rows: int, length: int) -> Callable[[Path], str]:
    """A batch whose texts are one text: packed it is small."""

    def make(folder: Path) -> str:
        import pyarrow as pa

        table = pa.table(
            {
                "id": pa.array(range(rows)),
                "y": pa.array([at % 2 for at in range(rows)]),
                "p": pa.array([at % 2 for at in range(rows)]),
                "s": pa.array([at / rows for at in range(rows)]),
                "g": pa.repeat("g" * length, rows),
                "t": pa.repeat("t", rows),
            }
        )
        path, options = str(folder / "a.arrow"), pa.ipc.IpcWriteOptions(compression="zstd")
        with pa.OSFile(path, "wb") as file, pa.ipc.new_file(file, table.schema, options=options) as out:
            out.write_table(table)
        return path

    return make


_HEAD = "id,y,p,s,g,t\n"
_DEEP = json.dumps(_LINE).replace('"t"}', '{"a":' * 400 + "1" + "}" * 401) + "\n"
INPUTS = {
    # more time
    "a csv of many rows": Input(_written("a.csv", 60_000), time_limit=0.02),
    "a packed csv of many rows": Input(_written("a.csv.gz", 60_000), time_limit=0.02),
    "many csv files": Input(_files("csv", 400), time_limit=0.02),
    "many parquet files": Input(_files("parquet", 400), time_limit=0.02),
    "JSON lines": Input(_written("a.jsonl", 40_000, "json"), time_limit=0.05),
    "many distinct rows": Input(_written("a.parquet", 400_000, groups="i"), time_limit=0.15),
    "a query without end": Input(_sqlite(f"{_ENDLESS} SELECT {_ROW} FROM r"), time_limit=0.5),
    "a query of all rows with all": Input(_sqlite(f"{_ENDLESS}, {_ALL_WITH_ALL}"), time_limit=0.5),
    "a frame of many objects": Input(_frame(150_000), time_limit=0.05),
    "many slices and resamples": Input(_written("a.parquet", 100_000, groups="i % 900"), time_limit=0.3),
    # more memory
    "long texts": Input(_written("a.parquet", 30, length=8_000_000), "32MB"),
    "long lines of JSON": Input(_text("a.jsonl", "", json.dumps({**_LINE, "g": "g" * 6_000_000}) + "\n", 12), "32MB"),
    "deep JSON": Input(_text("a.jsonl", "", _DEEP, 300), "16MB"),
    "a packed field that unpacks to much": Input(
        _text("a.csv.gz", _HEAD, f"1,1,1,0.5,{'g' * 100_000_000},t\n"), "32MB"
    ),
    "a value of a database": Input(_sqlite(_LONGEST), "32MB"),
    "long rows of a database": Input(_sqlite(f"{_ENDLESS} {_LONG}"), "32MB"),
    "long objects in a frame": Input(_frame(60_000, 4_000), "16MB"),
    "many columns": Input(_written("a.parquet", 300, wide=3_000), "16MB"),
    "many groups": Input(_written("a.parquet", 600_000, groups="i % 300000"), "16MB"),
    "a packed batch of Arrow": Input(_arrow(3_000, 300_000), "32MB"),
}
"""Twenty for each gate that reads rows."""
_FLOW = "on: push\njobs:\n"
_JOB = "  {name}:\n    runs-on: x\n    needs: [{needs}]\n    steps:\n      - run: {run}\n"
_GATED = "mlgov gate data --data a.csv --suite s.json"


def _jobs(count: int, run: str = _GATED, needs: int = 1) -> str:
    """Each needs those before it."""
    before = [", ".join(f"j{one}" for one in range(max(0, at - needs), at)) for at in range(count)]
    return _FLOW + "".join(_JOB.format(name=f"j{at}", needs=before[at], run=run) for at in range(count))


def _flow(text: Callable[[], str], files: int = 1) -> Callable[[Path], dict[str, str]]:
    def make(folder: Path) -> dict[str, str]:
        place = folder / ".github" / "workflows"
        place.mkdir(parents=True)
        for at in range(files):
            (place / f"f{at}.yml").write_text(text())
        return {"manifest": str(place if files > 1 else place / "f0.yml")}

    return make


def _script(lines: int) -> str:
    body = "\n".join(f"          if f{at}; then g{at}() {{ f{at}; }}; fi" for at in range(lines))
    return f"{_FLOW}  a:\n    runs-on: x\n    steps:\n      - run: |\n{body}\n"


def _listed(count: int) -> Callable[[Path], dict[str, str]]:
    def make(folder: Path) -> dict[str, str]:
        head = "form: mlgov/features/1\nfeatures:\n"
        (folder / "features.yaml").write_text(head + "".join(f"  - name: home address {at}\n" for at in range(count)))
        return {"features": str(folder / "features.yaml")}

    return make


_PII = {"packages": ["mlgov.pii"]}


def _looked_at(given: Input) -> Input:
    """The same rows, as those whose values the gate looks at."""
    return replace(given, make=lambda folder: {"data": given.make(folder)}, settings={"look": "exact", **_PII})


_ALIASES = "a0: &a0 [x, x]\n" + "".join(f"a{at}: &a{at} [*a{at - 1}, *a{at - 1}]\n" for at in range(1, 30))
OF_PIPELINES = {
    "many pipelines": Input(_flow(lambda: _jobs(20), files=300), time_limit=0.3),
    "a pipeline of many steps": Input(_flow(lambda: _jobs(8_000)), time_limit=0.3),
    "steps that need all before them": Input(_flow(lambda: _jobs(400, needs=400)), time_limit=0.3),
    "a script of many conditions": Input(_flow(lambda: _script(3_000)), time_limit=0.1),
    "deep YAML": Input(_flow(lambda: _FLOW + "  a: " + "[" * 5_000 + "]" * 5_000 + "\n")),
    "YAML that grows by aliases": Input(_flow(lambda: _ALIASES + _FLOW)),
    "a long command": Input(_flow(lambda: _jobs(1, run="echo " + "x" * 8_000_000)), "16MB"),
    "a list of many features": Input(_listed(20_000), time_limit=0.3, settings=_PII),
    **{
        name: _looked_at(given)
        for name, given in INPUTS.items()
        if not any(word in name for word in ("database", "frame", "query", "slices"))
    },
}
"""For the gate over pipelines and features."""


def inputs_of(gate: str) -> Mapping[str, Input]:
    """What is given to a gate."""
    return OF_PIPELINES if gate == "policy" else INPUTS


def judge(gate_name: str, input_name: str, folder: Path) -> dict[str, Any]:
    """What a gate says of an input, in this process, whose address space is limited from here on."""
    from airflow_mlgov import catalogue
    from airflow_mlgov.data import memory
    from airflow_mlgov.data.relation import bytes_of
    from airflow_mlgov.errors import MlgovError
    from airflow_mlgov.gates.run import run_gate
    from airflow_mlgov.gates.strictness import held_to
    from airflow_mlgov.governance.rulebook import Packs
    from airflow_mlgov.results import Subject

    asked, given = GATES[gate_name], inputs_of(gate_name)[input_name]
    data = given.make(folder)
    settings = {**json.loads(json.dumps(asked.settings)), **given.settings}
    if isinstance(data, dict):
        settings, data = {**settings, **data}, None
    if "checks" in settings:
        reference = _written("reference.parquet", 1_000)(folder)
        settings["checks"]["drift"]["reference"] = settings["checks"]["overlap"]["with"] = reference
    limits = {"memory_limit": given.memory_limit, "time_limit": given.time_limit}
    gate: Any = catalogue.load(asked.name)
    held, bounds = held_to(gate, None, {**settings, **limits}, list(asked.bounds), "the test")
    subject = (
        None if gate.about in ("dataset", "pipeline") else Subject("model", "m", "ab" * 32, "1", registry="http://r")
    )
    memory._LIBRARIES, memory._FOR_A_CORE = LIBRARIES, FOR_A_CORE
    most = _status("VmSize") + bytes_of(given.memory_limit) + KERNEL
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    Path("/proc/self/clear_refs").write_text("5")
    before, started = _status("VmRSS"), time.monotonic()
    answer: dict[str, Any] = {"said": ""}
    try:
        result = run_gate(gate, data, held, bounds, subject=subject, rulebook=Packs())
        answer |= {"verdict": str(result.verdict), "said": "; ".join(str(check) for check in result.checks)[:3000]}
    except MlgovError as error:
        answer |= {"code": error.code, "said": str(error)[:3000]}
    answer["seconds"] = round(time.monotonic() - started, 2)
    answer["megabytes"] = round((_status("VmHWM") - before) / 1e6)
    return answer


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


class Process:
    """Where orders are judged; what it imports, it imports once."""

    def __init__(self) -> None:
        one = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}
        variables = {**os.environ, **one}  # no thread before a fork, and no memory that is taken beforehand
        command = [sys.executable, "-m", "tests.worlds.excess"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, env=variables, stdin=pipe, stdout=pipe, text=True)

    def judge(self, gate: str, given: str, folder: Path) -> dict[str, Any]:
        """The answer of a child, or what became of it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([gate, given, str(folder)]) + "\n")
        self._process.stdin.flush()
        return dict(json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)


def _serve() -> None:
    import importlib

    for name in ("duckdb", "pandas", "pyarrow.parquet", "scipy.stats", "sklearn.metrics", "sqlalchemy"):
        importlib.import_module(name)
    from airflow_mlgov import catalogue

    catalogue.load_all()
    for line in sys.stdin:
        gate, given, folder = json.loads(line)
        answer = Path(folder, "answer.json")
        child = os.fork()
        if not child:
            code = 70
            try:
                answer.write_text(json.dumps(judge(gate, given, Path(folder))))
                code = 0
            except BaseException as error:
                answer.write_text(json.dumps({"died": repr(error)[:2000]}))
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        said = json.loads(answer.read_text()) if answer.exists() else {"died": os.waitstatus_to_exitcode(status)}
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    _serve()
