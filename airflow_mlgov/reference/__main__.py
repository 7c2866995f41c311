"""``python -m airflow_mlgov.reference FILE`` fills the tables of the documents that are named."""

import sys
from pathlib import Path

from airflow_mlgov.reference import filled

if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")
