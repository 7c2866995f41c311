"""Copies a SQL table or query, while its rows are fingerprinted, to a parquet file that goes away at the end, so that
what is checked are the rows that the fingerprint binds."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from airflow_mlgov.data.files import FileSet
from airflow_mlgov.data.fingerprint import TableFingerprint, fingerprint_rows
from airflow_mlgov.data.relation import RowStream
from airflow_mlgov.data.row_writer import RowWriter
from airflow_mlgov.data.scratch import scratch_folder
from airflow_mlgov.errors import DependencyError
from airflow_mlgov.results import Subject


@dataclass(frozen=True)
class Snapshot(FileSet):
    """The rows of a table at one moment, to be read as files are. Use it within :func:`take_snapshot`."""

    fingerprint: TableFingerprint = field(kw_only=True)

    @property
    def subject(self) -> Subject:
        """The table bound to its rows; the file is not what was judged."""
        return Subject("dataset", self.data, self.fingerprint.digest)


@contextmanager
def take_snapshot(source: RowStream) -> Iterator[Snapshot]:
    """The rows of a table or query, or of a Spark DataFrame, in a file that only this user can read.

    A column's type is that of its values. Whole numbers have 64 bits, or are decimals where they do not fit; decimals
    have the digits that they need; timestamps with a zone are instants; UUIDs, intervals, times with a zone, arrays and
    JSON are texts. Whole numbers among floats are floats, and among decimals decimals. A column without a value is one
    of texts, as in a csv.

    :raises ConfigurationError: as :func:`airflow_mlgov.data.database.fingerprint`; or the values of a column are of
        several types, or fit into none exactly
    :raises AccessError: wrong password, or no right to read
    :raises DependencyError: the database is down, or the temporary folder is full
    """
    with scratch_folder("table") as folder:
        try:
            with source.stream() as (columns, rows), RowWriter(source.name, columns, folder) as copy:
                marked = fingerprint_rows(columns, copy.passing(rows))
                path = copy.as_one_file()
        except OSError as error:
            why = os.strerror(error.errno or errno.EIO)
            raise DependencyError(
                f"the rows of {source.name} cannot be kept in a temporary file ({why}): let TMPDIR name a folder with "
                "room for them",
                code="scratch.unusable",
            ) from None
        yield Snapshot(source.name, path, (path,), fingerprint=marked)
