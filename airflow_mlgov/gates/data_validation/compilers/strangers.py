"""Counts and names what stands in a column and is not of the kind that an expectation is about. Refuses to show a text
that may be somebody's: only words that say that there is nothing are named."""

from __future__ import annotations

from airflow_mlgov.gates.data_validation.columns import Column
from airflow_mlgov.gates.data_validation.query_plan import Answers

_NOTHING = (
    "na", "n/a", "n.a.", "nan", "null", "none", "nil", "missing", "unknown", "unk", "undefined", "tbd", "inf", "-inf",
    "infinity", "#n/a", "(null)", "<na>", "true", "false",
)  # fmt: skip


def strangers(answers: Answers, column: Column, readable: str, kind: str) -> str:
    """``1 of its 4 values is no number, among them "-" (1)``; empty where there are none. Words that the relation's own
    remark names are left to it.

    :param readable: SQL that is NULL for a value that is not of the kind
    """
    where = f"{column.sql} IS NOT NULL AND {readable} IS NULL"
    (count,) = answers.one(f"SELECT count(*) FROM {answers.source} WHERE {where}")  # noqa: S608 - quoted
    if not count:
        return ""
    words = (
        []
        if answers.remarked(column)
        else answers.all(
            f"SELECT {column.sql}, count(*) FROM {answers.source} WHERE {where} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 20"  # noqa: S608
        )
    )
    shown = [f'"{word}" ({found})' for word, found in words if _says_nothing(str(word))][:4]
    named = f", among them {', '.join(shown)}" if shown else ""
    return f"{count} of its {answers.present(column)} values {'is' if count == 1 else 'are'} no {kind}{named}"


def _says_nothing(word: str) -> bool:
    plain = word.strip().lower()
    return len(word) <= 12 and word.isprintable() and (plain in _NOTHING or not any(sign.isalnum() for sign in plain))
