"""The data gate: a suite over files, tables and frames. Begin with :func:`validate_data`."""

from airflow_mlgov.gates.data_validation.gate import validate_data

__all__ = ["validate_data"]
