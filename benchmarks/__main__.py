"""``python -m benchmarks``: measures the gates against the libraries and prints one table. Exit code 0 whatever the
ratios, for machines are noisy; 1 where answers differ or a contender broke."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.contests import Sizes, cache_folder, contests
from benchmarks.measure import measure
from benchmarks.table import render

_QUICK = 200_000
_BIG = 100_000_000


def main(arguments: list[str] | None = None) -> int:
    """Measure what was asked for; the exit code."""
    asked = _parser().parse_args(arguments)
    rows = _QUICK if asked.quick else asked.rows
    available = contests(asked.folder / "data", Sizes(rows, _BIG if asked.big else rows))
    wanted = [key for key in available if not asked.only or any(key.startswith(word) for word in asked.only.split(","))]
    if not wanted:
        print(f"no contest begins with {asked.only}; there are {', '.join(available)}", file=sys.stderr)
        return 2
    measured = []
    for key in wanted:
        contest = available[key]()
        _say(contest.what)
        measured.append(measure(contest, asked.rounds, asked.folder / "environments", _say))
    report = render(measured, _command(asked, rows))
    print(report)
    if asked.out:
        asked.out.write_text(report)
    return int(any(each.unlike or each.broken for each in measured))


def _command(asked: argparse.Namespace, rows: int) -> str:
    """What to type to measure the same."""
    words = [f"--rounds {asked.rounds}", f"--only {asked.only}" * bool(asked.only), "--big" * asked.big]
    words.append(f"--rows {rows}" * (rows != Sizes.rows))
    return f"make bench ARGS='{' '.join(filter(None, words))}'"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Gates against the bare libraries.")
    parser.add_argument("--rows", type=int, default=Sizes.rows, help="of the large contests (default 10,000,000)")
    parser.add_argument("--quick", action="store_true", help=f"{_QUICK:,} rows")
    parser.add_argument(
        "--big", action="store_true", help=f"memory up to {_BIG:,} rows, 5 GB of data; hundreds of columns"
    )
    parser.add_argument("--rounds", type=int, default=3, help="turns that each contender takes (default 3)")
    parser.add_argument(
        "--only", default="", help="contests that begin so, by commas: fairness,data,wide,csv,drift,cold,parse,memory"
    )
    parser.add_argument("--folder", type=Path, default=cache_folder(), help="data and environments")
    parser.add_argument("--out", type=Path, help="write the table there too, as Markdown")
    return parser


if __name__ == "__main__":
    sys.exit(main())
