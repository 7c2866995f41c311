"""The contests and what is to be reached in each. Ours is always the first contender."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import data, ledger, release
from benchmarks.contests_of_models import contests_of_models
from benchmarks.measure import Contender, Contest, Target

RESAMPLES = 2_000
_COLD_ROWS = 10_000
_FEWEST = 10_000
_DAGS = Path(__file__).parent / "dags"


@dataclass(frozen=True)
class Sizes:
    """How many rows the contests are about."""

    rows: int = 10_000_000
    largest: int = 10_000_000
    """Of the contest about memory."""

    @property
    def is_big(self) -> bool:
        """Whether contests of many columns and files are about as many as were ever asked for."""
        return self.largest > self.rows

    @property
    def two_groups(self) -> int:
        """Of the contest about one attribute of two groups."""
        return max(self.rows // 10, _FEWEST)

    @property
    def results(self) -> int:
        """Of one model, that a decision is made over."""
        return min(self.rows // 100, 1_000)

    @property
    def entries(self) -> int:
        """Of a ledger, of which one model has forty."""
        return 1_000_000 if self.is_big else min(self.rows // 100, 100_000)

    @property
    def files(self) -> int:
        """Of one model."""
        return min(self.rows // 100, 20_000)

    @property
    def bootstrap(self) -> int:
        """Of the contest about intervals."""
        return max(self.rows // 100, _FEWEST)

    @property
    def smallest(self) -> int:
        """What memory is compared with."""
        return max(self.rows // 10, _FEWEST)


def cache_folder() -> Path:
    """Where data and environments are kept, unless said otherwise."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "airflow-mlgov" / "bench"


def contests(folder: Path, sizes: Sizes) -> dict[str, Callable[[], Contest]]:
    """Key -> the contest, whose data is generated when it is called.

    :param folder: where the data is kept
    """
    return {
        "fairness-20": lambda: _groups(folder, sizes.rows, 20, ["race"], 200),
        "fairness-400": lambda: _groups(folder, sizes.rows, 400, ["district", "sex"], 90),
        "two-groups": lambda: _two_groups(folder, sizes.two_groups),
        "intervals": lambda: _intervals(folder, sizes.bootstrap),
        "data": lambda: _suite(folder, sizes.rows),
        "wide": lambda: _wide(folder, sizes),
        "many": lambda: _many_expectations(folder, sizes),
        "csv": lambda: _csv(folder, sizes, ""),
        "csv-gz": lambda: _csv(folder, sizes, ".gz"),
        "folders": lambda: _folders(folder, sizes),
        "drift": lambda: _drift(folder, sizes),
        "overlap": lambda: _overlap(folder, sizes.rows),
        "spark-data": lambda: _spark("data", str(data.people(folder, sizes.rows)), sizes.rows),
        "spark-fairness": lambda: _spark("fairness", str(data.predictions(folder, sizes.rows)), sizes.rows),
        "cold-fairness": lambda: _cold_fairness(folder),
        "cold-data": lambda: _cold_data(folder),
        "cold-performance": lambda: _cold_performance(folder),
        "cold-task": lambda: _cold_task(folder),
        "parse": _parse,
        "cluster-policy-median": lambda: _cluster_policy("median"),
        "cluster-policy-p95": lambda: _cluster_policy("p95"),
        "admission": lambda: _admission(sizes),
        "board": lambda: _board(folder, sizes),
        "start-help": _start_help,
        "start-gate": lambda: _start_gate(folder),
        "start-pack": lambda: _start_pack(folder),
        "release-decision": lambda: _decision(folder, sizes.results),
        "release-ledger": lambda: _ledger(folder, sizes.entries),
        "ledger-full": lambda: _full(folder, sizes.entries),
        "ledger-append-sqlite": lambda: _append("sqlite"),
        "ledger-append-postgresql": lambda: _append("postgresql"),
        "ledger-writers": _writers,
        "release-rules": _rules,
        "release-files": lambda: _many_files(folder, sizes.files),
        "memory-fairness": lambda: _memory(folder, sizes, "fairness"),
        "memory-data": lambda: _memory(folder, sizes, "data_gate"),
        **contests_of_models(folder, sizes.rows, sizes.largest),
    }


def _groups(folder: Path, rows: int, groups: int, features: list[str], faster: float) -> Contest:
    options = {"path": str(data.predictions(folder, rows)), "features": features}
    return Contest(
        f"fairness-{groups}",
        f"fairness, {_many(rows)} rows, {groups} groups, 6 metrics",
        (
            Contender("gate", "fairness:gate", options),
            Contender("DuckDB GROUP BY", "fairness:group_by", options),
            Contender("DuckDB GROUP BY and the file's SHA-256", "fairness:group_by_and_digest", options),
            Contender("Fairlearn MetricFrame on rows", "fairness:fairlearn_on_rows", options, once=rows > 1_000_000),
        ),
        (
            ("Fairlearn MetricFrame on rows", Target("work_seconds", at_least=faster)),
            ("Fairlearn MetricFrame on rows", Target("peak_mb", at_least=10)),
            ("DuckDB GROUP BY", Target("work_seconds", at_most=1.5)),
            ("DuckDB GROUP BY and the file's SHA-256", Target("work_seconds", at_most=1.5)),
        ),
        "The gate's time has the intervals (2,000 resamples; 400 for 400 groups) and the SHA-256 of the file in it. "
        "Fairlearn reads no more than the columns that it needs.",
    )


def _two_groups(folder: Path, rows: int) -> Contest:
    options = {"path": str(data.predictions(folder, rows))}
    return Contest(
        "two-groups",
        f"one attribute of two groups, {_many(rows)} rows",
        (
            Contender("gate", "fairness:gate_of_two_groups", options),
            Contender("Aequitas", "fairness:aequitas", options, "aequitas"),
            Contender("AIF360", "fairness:aif360", options, "aif360"),
        ),
        (("Aequitas", Target("work_seconds", at_least=1)), ("AIF360", Target("work_seconds", at_least=1))),
        "All three read the parquet file within the time; the gate's has the intervals and the digest in it.",
    )


def _intervals(folder: Path, rows: int) -> Contest:
    options = {"path": str(data.predictions(folder, rows)), "features": ["race"]}
    drawn = 3
    return Contest(
        "intervals",
        f"intervals, {_many(rows)} rows, 20 groups, 6 metrics, {RESAMPLES:,} resamples",
        (
            Contender("gate", "fairness:gate", options),
            Contender(
                "Fairlearn n_boot",
                "fairness:fairlearn_on_rows",
                {**options, "resamples": drawn, "scaled_to": RESAMPLES},
            ),
        ),
        (("Fairlearn n_boot", Target("work_seconds", at_least=1000)),),
        f"Fairlearn's time is that of {drawn} resamples, less the time without any, scaled to {RESAMPLES:,}; ours is "
        "that of the whole gate, counting included.",
    )


def _suite(folder: Path, rows: int) -> Contest:
    options = {"path": str(data.people(folder, rows))}
    return Contest(
        "data",
        f"data gate, 12 expectations, {_many(rows)} rows of 9 columns, parquet",
        (
            Contender("gate", "data_gate:gate", options),
            Contender("DuckDB SQL by hand", "data_gate:sql_by_hand", options),
            Contender("Great Expectations on pandas", "data_gate:great_expectations", options),
            Contender("Pandera on Polars", "data_gate:pandera", options, "pandera"),
            Contender("Pointblank on Polars", "data_gate:pointblank", options, "pointblank"),
        ),
        (
            ("Great Expectations on pandas", Target("work_seconds", at_least=10)),
            ("Great Expectations on pandas", Target("peak_mb", at_least=5)),
            ("DuckDB SQL by hand", Target("work_seconds", at_most=1.5)),
            ("Pandera on Polars", Target("work_seconds", at_least=1)),
            ("Pandera on Polars", Target("peak_mb", at_least=2)),
            ("Pointblank on Polars", Target("work_seconds", at_least=1)),
            ("Pointblank on Polars", Target("peak_mb", at_least=2)),
        ),
        "The gate's time has the SHA-256 of the file in it. SQL by hand has no memory limit, the gate's is 512 MB.",
    )


def _wide(folder: Path, sizes: Sizes) -> Contest:
    columns, rows = (1_000 if sizes.is_big else 100), max(sizes.rows // 50, _FEWEST)
    options = {"path": str(data.wide(folder, rows, columns)), "columns": columns, "expectations": 3 * columns}
    return Contest(
        "wide",
        f"data gate, {3 * columns:,} expectations, {columns:,} columns, {_many(rows)} rows",
        (
            Contender("gate", "at_size:gate", options),
            Contender("Great Expectations on pandas", "at_size:great_expectations", options),
        ),
        (("Great Expectations on pandas", Target("cpu_seconds", at_most=0.25)),),
    )


def _many_expectations(folder: Path, sizes: Sizes) -> Contest:
    rows, expectations = max(sizes.rows // 50, _FEWEST), 1_000
    options = {"path": str(data.wide(folder, rows, 20)), "columns": 20, "expectations": expectations}
    return Contest(
        "many",
        f"data gate, {expectations:,} expectations, 20 columns, {_many(rows)} rows",
        (
            Contender("gate", "at_size:gate", options),
            Contender("one query with FILTER, by hand", "at_size:one_query_with_filter", options),
        ),
        (
            ("one query with FILTER, by hand", Target("cpu_seconds", at_least=1)),
            ("one query with FILTER, by hand", Target("peak_mb", at_least=1)),
        ),
    )


def _csv(folder: Path, sizes: Sizes, packed: str) -> Contest:
    options = {"path": str(data.people_as_csv(folder, sizes.rows, packed))}
    return Contest(
        "csv" + packed.replace(".", "-"),
        f"data gate, 7 expectations, {_many(sizes.rows)} rows of 6 columns, csv{packed}",
        (
            Contender("gate", "at_size:csv_gate", options),
            Contender("pandas by hand", "at_size:csv_pandas", options),
        ),
        (
            ("pandas by hand", Target("cpu_seconds", at_most=1.5)),
            ("pandas by hand", Target("peak_mb", at_least=8)),
        ),
        "The gate also finds out what every value of a column is, where pandas goes by blocks of rows.",
    )


def _folders(folder: Path, sizes: Sizes) -> Contest:
    files = 1_000 if sizes.rows > 1_000_000 else 100
    options = {"path": str(data.in_folders(folder, files))}
    return Contest(
        "folders",
        f"data gate, 4 expectations, {files:,} parquet files in folders",
        (
            Contender("gate", "at_size:folders_gate", options),
            Contender("Polars", "at_size:folders_polars", options, "pandera"),
        ),
        (("Polars", Target("cpu_seconds", at_most=2)),),
        "The gate copies and hashes every file.",
    )


def _drift(folder: Path, sizes: Sizes) -> Contest:
    columns, rows = (200 if sizes.is_big else 20), max(sizes.rows // 20, _FEWEST)
    options = {
        "path": str(data.numbers(folder, rows, columns, "new", 0.01)),
        "reference": str(data.numbers(folder, rows, columns, "old")),
        "columns": columns,
    }
    return Contest(
        "drift",
        f"drift (psi) of {columns} columns, {_many(rows)} rows on either side",
        (
            Contender("gate", "at_size:drift_gate", options),
            Contender("NumPy column by column", "at_size:drift_numpy", options),
        ),
        (("NumPy column by column", Target("cpu_seconds", at_most=2)),),
    )


def _overlap(folder: Path, rows: int) -> Contest:
    paths = [str(data.addresses(folder, rows, name, begin)) for name, begin in (("a", 0), ("b", rows))]
    options = {"path": paths[0], "other": paths[1]}
    return Contest(
        "overlap",
        f"overlap of two tables of {_many(rows)} rows, four columns of text",
        (
            Contender("gate", "at_size:overlap_gate", options),
            Contender("DuckDB on a hash of each row", "at_size:overlap_by_hash", options),
        ),
        (("DuckDB on a hash of each row", Target("cpu_seconds", at_most=1.3)),),
    )


def _spark(what: str, path: str, rows: int) -> Contest:
    from benchmarks import spark

    options = {"path": path, **spark.server()}
    named = Contender("the same, and the rows' digest", "spark:data_by_hand_and_digest", options)
    digest = (named,) if what == "data" else ()
    jobs = {"data": "4 expectations", "fairness": "20 groups"}
    return Contest(
        f"spark-{what}",
        f"{what} gate in Spark, {jobs[what]}, {_many(rows)} rows",
        (
            Contender("gate", f"spark:{what}_gate", options),
            Contender("Spark SQL by hand", f"spark:{what}_by_hand", options),
            *digest,
        ),
        tuple((each, Target("work_seconds", at_most=1.3)) for each in ("Spark SQL by hand", *(d.name for d in digest))),
        "Work is processor time of the server and the client. The gates freeze the rows first, and the data gate has a "
        "digest of each of them in its time.",
    )


def _cold(key: str, what: str, ours: Contender, theirs: Contender, note: str) -> Contest:
    target = (theirs.name, Target("total_seconds", at_most=1.2))
    return Contest(key, f"{what}, {_COLD_ROWS:,} rows, from process start", (ours, theirs), (target,), note)


def _start_help() -> Contest:
    return Contest(
        "start-help",
        "mlgov --help, from process start",
        (
            Contender("mlgov --help", "release:mlgov", {"words": ["--help"]}),
            Contender("import typer", "release:imports", {"modules": ["typer"]}),
        ),
        (("import typer", Target("cpu_seconds", at_most=1.7)),),
        "",
    )


def _start_gate(folder: Path) -> Contest:
    words = ["gate", "fairness", "--data", str(release.small_table(folder)), "--label", "y", "--prediction", "p"]
    words += ["--sensitive", "sex", "--bound", "demographic_parity_ratio>=0.1"]
    libraries = ["duckdb", "numpy", "pydantic", "typer"]
    return Contest(
        "start-gate",
        "mlgov gate fairness, 1,000 rows, from process start",
        (
            Contender("mlgov gate fairness", "release:mlgov", {"words": words}),
            Contender("its libraries' imports", "release:imports", {"modules": libraries}),
        ),
        (("its libraries' imports", Target("cpu_seconds", at_most=1.3)),),
        f"The libraries are {', '.join(libraries)}.",
    )


def _start_pack(folder: Path) -> Contest:
    place, libraries = release.packed(folder, 200), ["sqlalchemy", "cryptography"]
    words = ["verify", "--pack", f"{place}/pack.zip", "--trust", f"{place}/trust.json"]
    files = str((place / "artifact").resolve())
    return Contest(
        "start-pack",
        "mlgov verify --pack, a model of 1 MB, from process start",
        (
            Contender("mlgov verify --pack", "release:mlgov", {"words": [*words, "--artifact", files]}),
            Contender(
                "imports and the artifact's hash", "release:imports_and_hash", {"modules": libraries, "path": files}
            ),
        ),
        (("imports and the artifact's hash", Target("cpu_seconds", at_most=1.5)),),
        f"The libraries are {' and '.join(libraries)}, of which a pack needs the second.",
    )


def _decision(folder: Path, results: int) -> Contest:
    options = {"path": str(release.many_results(folder, results))}
    return Contest(
        "release-decision",
        f"decision over {_many(results)} results of one model",
        (
            Contender("evidence and decision", "release:decision", options),
            Contender("the signatures alone", "release:signatures", options),
        ),
        (("the signatures alone", Target("cpu_seconds", at_most=1.5)),),
        "Both walk the ledger. Ours also holds each statement to its form, and asks the rules in another process.",
    )


def _ledger(folder: Path, entries: int) -> Contest:
    few, many = (str(ledger.many_models(folder, size)) for size in (min(entries, 1_000), entries))
    return Contest(
        "release-ledger",
        f"why one model may serve, by proofs, in a ledger of {_many(entries)} entries",
        (
            Contender("in many entries", "ledger:read", {"path": many, "proven": True, "times": 5}),
            Contender("in a thousand", "ledger:read", {"path": few, "proven": True, "times": 5}),
            Contender("in many, walked", "ledger:read", {"path": many, "proven": False, "times": 1}, once=True),
        ),
        (("in a thousand", Target("work_seconds", at_most=1.3)),),
        f"The model has {ledger.RESULTS} results; {ledger.SINCE} entries came since the newest promotion. By proofs it "
        "is read five times, by a walk once.",
    )


def _full(folder: Path, entries: int) -> Contest:
    options = {"path": str(release.many_results(folder, min(entries, 10_000)))}
    return Contest(
        "ledger-full",
        f"mlgov ledger verify --full, {_many(min(entries, 10_000))} entries",
        (
            Contender("the auditor's walk", "ledger:full", options),
            Contender("the signatures alone", "ledger:signatures", options),
            Contender("a walk without signatures", "ledger:walk", options),
        ),
        (("the signatures alone", Target("work_seconds", at_most=1.3)),),
        "The walk makes tree and index again too, and holds each statement to its form.",
    )


def _append(backend: str) -> Contest:
    times = 300
    return Contest(
        f"ledger-append-{backend}",
        f"{times} entries appended, {backend}",
        (
            Contender("the ledger", "ledger:append", {"backend": backend, "bare": False, "times": times}),
            Contender("bare insert and commit", "ledger:append", {"backend": backend, "bare": True, "times": times}),
        ),
        (
            ("bare insert and commit", Target("work_seconds", at_most=3)),
            ("bare insert and commit", Target("work_seconds", at_most=1.5)),
        ),
        "The same bytes, signing not counted; the second target is for disks on which the bare commit takes 3 ms and "
        "more.",
    )


def _writers() -> Contest:
    count, times = 8, 100
    return Contest(
        "ledger-writers",
        f"{count} writers on PostgreSQL, {times} entries each",
        (
            Contender("the ledger", "ledger:writers", {"bare": False, "count": count, "times": times}),
            Contender("eight without any order", "ledger:writers", {"bare": True, "count": count, "times": times}),
        ),
        (("eight without any order", Target("work_seconds", at_least=0.6)),),
        "The ledger is walked afterwards: its sequence has no gap, and its tree is whole.",
    )


def _rules() -> Contest:
    return Contest(
        "release-rules",
        "one evaluation of the rules of promotion",
        (
            Contender("child that lives on", "engines:long_lived_child", {}),
            Contender("regorus in process, warm", "engines:in_process", {}),
            Contender("a process for each", "engines:a_process_each", {}),
        ),
        (("regorus in process, warm", Target("work_seconds", at_most=1.5)),),
        "The child has limits of time and memory, and `sprintf` as OPA has it.",
    )


def _many_files(folder: Path, files: int) -> Contest:
    options = {"path": str(release.many_files(folder, files))}
    return Contest(
        "release-files",
        f"digest of a model of {_many(files)} files of 5 kB",
        (
            Contender("hash_tree", "release:hash_tree", options),
            Contender("sha256sum", "release:sha256sum", options),
        ),
        (("sha256sum", Target("cpu_seconds", at_most=1.5)),),
        "",
    )


def _cold_fairness(folder: Path) -> Contest:
    options = {"path": str(data.predictions(folder, _COLD_ROWS)), "features": ["race"]}
    return _cold(
        "cold-fairness",
        "cold fairness gate",
        Contender("gate", "fairness:gate", options),
        Contender("Fairlearn by hand", "fairness:fairlearn_on_rows", options),
        "Without Airflow on either side.",
    )


def _cold_data(folder: Path) -> Contest:
    options = {"path": str(data.people(folder, _COLD_ROWS))}
    return _cold(
        "cold-data",
        "cold data gate",
        Contender("gate", "data_gate:gate", options),
        Contender("Great Expectations by hand", "data_gate:great_expectations", options),
        "Without Airflow on either side.",
    )


def _cold_performance(folder: Path) -> Contest:
    options = {"path": str(data.predictions(folder, _COLD_ROWS))}
    return _cold(
        "cold-performance",
        "cold performance gate, 8 metrics",
        Contender("gate", "performance:gate", options),
        Contender("scikit-learn by hand", "performance:sklearn_by_hand", options),
        "Without Airflow on either side. The gate also computes an interval of each metric.",
    )


def _cold_task(folder: Path) -> Contest:
    options = {"path": str(data.people(folder, _COLD_ROWS))}
    return _cold(
        "cold-task",
        "cold data gate as an Airflow task",
        Contender("DataValidationGateOperator", "inside_airflow:gate_task", options),
        Contender("PythonOperator with Great Expectations", "inside_airflow:python_task", options),
        "Airflow's import and task runner on both sides; the operator also signs its evidence and appends it to a "
        "ledger.",
    )


def _parse() -> Contest:
    return Contest(
        "parse",
        "parse of a DAG file with every operator",
        (
            Contender("every operator", "inside_airflow:parse", {"path": str(_DAGS / "every_operator.py")}),
            Contender("as many EmptyOperators", "inside_airflow:parse", {"path": str(_DAGS / "empty_operators.py")}),
        ),
        (("as many EmptyOperators", Target("work_seconds", at_most=1.15)),),
        "Work is what Airflow's DAG processor records as the file's last parse duration.",
    )


def _cluster_policy(quantile: str) -> Contest:
    options = {"quantile": quantile}
    return Contest(
        f"cluster-policy-{quantile}",
        f"cluster policy over each of Airflow's example DAGs, {quantile}",
        (
            Contender("cluster policy", "inside_airflow:cluster_policy", options),
            Contender("as if each promoted", "inside_airflow:judged", options),
            Contender("Airflow's serialisation", "inside_airflow:serialisation", options),
        ),
        (("Airflow's serialisation", Target("work_seconds", at_most=0.15)),),
        "Processor time, the least of five. The policy looks no further at a DAG that promotes nothing; as if each "
        "promoted is what it costs to read and judge all of its steps.",
    )


def _admission(sizes: Sizes) -> Contest:
    options = {"seconds": min(20, sizes.rows // 20_000 or 1), "entries": min(500, sizes.rows // 1_000)}
    return Contest(
        "admission",
        "mlgov admission, 100 reviews a second, p95",
        (
            Contender("mlgov admission", "admission:real", options),
            Contender("the same server, a constant", "admission:constant", options),
        ),
        (("the same server, a constant", Target("work_seconds", at_most=3)),),
        "A Deployment with its init container, every tenth unlike any before; a real OPA, a ledger in SQLite, plain "
        "HTTP on both sides. Each answer is timed from the moment at which it was due to be asked.",
        same_answers=False,
    )


def _board(folder: Path, sizes: Sizes) -> Contest:
    versions, entries = (10_000, 200_000) if sizes.rows > 1_000_000 else (500, 10_000)
    options = {"folder": str(folder), "versions": versions, "entries": entries}
    return Contest(
        "board",
        f"the board's first byte, {_many(versions)} versions, {_many(entries)} entries",
        (
            Contender("the board", "board:board", options),
            Contender("the same page with no row", "board:empty", options),
        ),
        (("the same page with no row", Target("work_seconds", at_most=5)),),
        "Median of 60 pages of 25 rows, once the ledger was walked and every model judged; the answer says after how "
        "many seconds that was.",
        same_answers=False,
    )


def _memory(folder: Path, sizes: Sizes, module: str) -> Contest:
    table, extra, what = {
        "fairness": (data.predictions, {"features": ["race"]}, "fairness gate"),
        "data_gate": (data.people, {}, "data gate"),
    }[module]
    many, few = (
        Contender(f"{_many(rows)} rows", f"{module}:gate", {"path": str(table(folder, rows)), **extra})
        for rows in (sizes.largest, sizes.smallest)
    )
    return Contest(
        f"memory-{module}",
        f"memory of the {what}, {few.name} to {many.name}",
        (many, few),
        ((few.name, Target("peak_mb", at_most=1.3)),),
        f"The larger file has {Path(many.options['path']).stat().st_size / 1e6:,.0f} MB.",
        same_answers=False,
    )


def _many(rows: int) -> str:
    return f"{rows / 1e6:g} M" if rows >= 1_000_000 else f"{rows:,}"
