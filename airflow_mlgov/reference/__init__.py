"""The documentation's reference, made from what it is about: the settings of each gate, the codes of errors and of
reasons to refuse, operators, commands, the options of ``[mlgov]``, the keys of a policy, the statements of the ledger,
what rules are handed. Each stands between a mark, such as ``<!-- settings of fairness -->``, and ``<!-- end -->``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial

from airflow_mlgov import catalogue
from airflow_mlgov.reference.codes import errors_table, reasons_table
from airflow_mlgov.reference.commands import commands_section
from airflow_mlgov.reference.configuration import connections_table, options_table
from airflow_mlgov.reference.inputs import decision_input_table, pack_input_table
from airflow_mlgov.reference.operators import classes_section
from airflow_mlgov.reference.policy import policy_table
from airflow_mlgov.reference.settings import csv_table, limits_table, settings_table
from airflow_mlgov.reference.statements import statements_table

_SETTINGS = "settings of "
_MADE: Mapping[str, Callable[[], str]] = {
    "settings of csv": csv_table,
    "settings of limits": limits_table,
    "codes of errors": errors_table,
    "codes of reasons": reasons_table,
    **{part: partial(classes_section, part) for part in ("operators", "sensors", "triggers", "hooks")},
    "commands": commands_section,
    "options": options_table,
    "connections": connections_table,
    "policy": policy_table,
    "statements": statements_table,
    "input of decisions": decision_input_table,
    "input of packs": pack_input_table,
}
_BLOCK = re.compile(rf"(<!-- ({_SETTINGS}\w+|{'|'.join(_MADE)}) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(text: str) -> str:
    """A document with each of its tables as it is now.

    :raises ConfigurationError: it marks a gate that is not installed
    """
    return _BLOCK.sub(lambda found: found[1] + _made(found[2]) + found[3], text)


def _made(name: str) -> str:
    if name in _MADE:
        return _MADE[name]()
    return settings_table(catalogue.load(name.removeprefix(_SETTINGS)))
