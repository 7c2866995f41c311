"""The documentation's tables, made from what they are about: the settings of each gate, the codes of errors and of
reasons to refuse. Each stands between a mark, such as ``<!-- settings of fairness -->``, and ``<!-- end -->``.
"""

from __future__ import annotations

import re

from airflow_mlgov import catalogue
from airflow_mlgov.reference.codes import errors_table, reasons_table
from airflow_mlgov.reference.settings import csv_table, limits_table, settings_table

_SETTINGS = "settings of "
_BLOCK = re.compile(rf"(<!-- ({_SETTINGS}\w+|codes of errors|codes of reasons) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(text: str) -> str:
    """A document with each of its tables as it is now.

    :raises ConfigurationError: it marks a gate that is not installed
    """
    return _BLOCK.sub(lambda found: found[1] + _table(found[2]) + found[3], text)


def _table(name: str) -> str:
    if name == "settings of csv":
        return csv_table()
    if name == "settings of limits":
        return limits_table()
    if name.startswith(_SETTINGS):
        return settings_table(catalogue.load(name.removeprefix(_SETTINGS)))
    return errors_table() if name == "codes of errors" else reasons_table()
