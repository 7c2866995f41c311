"""``python -m airflow_mlgov.demo``: the same as ``mlgov demo``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from airflow_mlgov.demo.story import run_demo
from airflow_mlgov.errors import ConfigurationError, MlgovError


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the options, play the story; 0 as it should, 1 not, 2 bad usage, 4 a server did not come up."""
    parser = argparse.ArgumentParser(prog="python -m airflow_mlgov.demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave all servers up, show log-ins, wait for Ctrl-C")
    parser.add_argument("--work-dir", type=Path, help="new or empty folder for ledger, logs and data")
    options = parser.parse_args(argv)
    try:
        return run_demo(options.work_dir, keep=options.keep)
    except KeyboardInterrupt:
        return 130
    except MlgovError as error:
        print(f"mlgov demo: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigurationError) else 4


if __name__ == "__main__":
    sys.exit(main())
