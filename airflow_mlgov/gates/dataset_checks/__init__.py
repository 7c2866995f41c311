"""What the data gate checks beyond its suite: drift, overlap, leakage, freshness, volume and the model's signature.
Begin with :func:`run_checks`."""

from airflow_mlgov.gates.dataset_checks.checks import (
    Lookup,
    add_checks,
    merge_checks,
    parse_checks,
    run_checks,
)

__all__ = ["Lookup", "add_checks", "merge_checks", "parse_checks", "run_checks"]
