"""Reads a ``row_condition`` by a closed grammar of its own and writes it as SQL, whichever parser it is written for.
Evaluates nothing, and refuses what is no comparison of columns.

``age > 18 and grade in ["a", "b"]``, ``not (income.isnull() | age <= 3)``, ``18 <= age < 65``,
``` `net income` != 0 ```, ``col("grade") == "a"``, ``col("day").notNull()``, ``grade IS NOT NULL``, and what
Great Expectations 1.x stores. A comparison with a missing value is false, and ``!=`` is true, as in pandas.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_mlgov.data.names import missing_columns_text
from airflow_mlgov.data.relation import ColumnKind
from airflow_mlgov.gates.data_validation.columns import MOMENTS, NUMERIC, Column, UnfitError, compared, member

MOST_SIGNS = 10_000
_MOST_DEPTH = 50

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?(?![A-Za-z0-9_.]))
    | (?P<text>"(?:[^"\\]|\\["'\\])*"|'(?:[^'\\]|\\["'\\])*')
    | (?P<quoted>`[^`]+`)
    | (?P<word>[^\W\d]\w*)
    | (?P<sign>==|!=|<>|<=|>=|&&|\|\||[=<>&|~()\[\],.-])
    )""",
    re.VERBOSE,
)
_SIGNS = {"==": "=", "=": "=", "!=": "<>", "<>": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_TURNED = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_NULL = ("isnull", "isna", "is_null")
_NOT_NULL = ("notnull", "notna", "is_not_null")
_FAMILIES = (NUMERIC, MOMENTS, (ColumnKind.TEXT,), (ColumnKind.BOOLEAN,))


@dataclass(frozen=True)
class _Name:
    """A column by its name."""

    name: str


@dataclass(frozen=True)
class _Constant:
    value: Any


def condition_sql(condition: str | Mapping[str, Any], columns: Mapping[str, Column]) -> str:
    """The condition as SQL over the relation, never NULL.

    :raises UnfitError: it is not in the grammar, names a column that is not there, or compares what is of two kinds
    """
    if isinstance(condition, Mapping):
        return _stored(condition, columns, 0)
    if len(condition) > MOST_SIGNS:
        raise UnfitError(f"its row_condition has more than {MOST_SIGNS} signs")
    return _Reader(condition, columns).read()


class _Reader:
    """A descent through the grammar; every method returns SQL of what it has read."""

    def __init__(self, condition: str, columns: Mapping[str, Column]) -> None:
        self._condition, self._columns = condition, columns
        self._tokens = self._split(condition)
        self._at = 0
        self._depth = 0

    def read(self) -> str:
        """The whole condition."""
        sql = self._either()
        if self._at < len(self._tokens):
            raise self._refuse()
        return sql

    def _split(self, condition: str) -> list[tuple[str, str]]:
        tokens, at, end = [], 0, len(condition.rstrip())
        while at < end:
            found = _TOKEN.match(condition, at)
            if found is None:
                raise UnfitError(_refusal(condition[at:].strip()))
            tokens.append((str(found.lastgroup), found[str(found.lastgroup)]))
            at = found.end()
        return tokens

    def _refuse(self) -> UnfitError:
        rest = " ".join(text for _, text in self._tokens[self._at :])
        return UnfitError(_refusal(rest))

    def _peek(self, ahead: int = 0) -> tuple[str, str]:
        at = self._at + ahead
        return self._tokens[at] if at < len(self._tokens) else ("", "")

    def _is_word(self, word: str, ahead: int = 0) -> bool:
        kind, text = self._peek(ahead)
        return kind == "word" and text.lower() == word

    def _took(self, *signs: str) -> bool:
        """Whether the next token was one of these signs or words; it is taken then."""
        kind, text = self._peek()
        if (kind == "sign" and text in signs) or (kind == "word" and text.lower() in signs):
            self._at += 1
            return True
        return False

    def _need(self, sign: str) -> None:
        if not self._took(sign):
            raise self._refuse()

    def _either(self) -> str:
        parts = [self._both()]
        while self._took("or", "|", "||"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else f"({' OR '.join(parts)})"

    def _both(self) -> str:
        parts = [self._negation()]
        while self._took("and", "&", "&&"):
            parts.append(self._negation())
        return parts[0] if len(parts) == 1 else f"({' AND '.join(parts)})"

    def _negation(self) -> str:
        self._depth += 1
        if self._depth > _MOST_DEPTH:
            raise UnfitError("its row_condition is nested too deeply")
        try:
            if self._took("not", "~"):
                return f"(NOT {self._negation()})"
            if self._peek() == ("sign", "("):
                return self._in_brackets()
            return self._comparison()
        finally:
            self._depth -= 1

    def _in_brackets(self) -> str:
        self._need("(")
        sql = self._either()
        self._need(")")
        return sql

    def _comparison(self) -> str:
        left = self._operand()
        if isinstance(left, _Name) and (sql := self._of_name(left)):
            return sql
        parts = []
        while self._peek()[0] == "sign" and self._peek()[1] in _SIGNS:
            sign = _SIGNS[self._peek()[1]]
            self._at += 1
            right = self._operand()
            parts.append(_comparison(left, sign, right, self._columns))
            left = right
        if parts:
            return parts[0] if len(parts) == 1 else f"({' AND '.join(parts)})"
        column = _column(left, self._columns) if isinstance(left, _Name) else None
        if column is None or column.kind is not ColumnKind.BOOLEAN:
            raise self._refuse()
        return f"coalesce({column.sql}, false)"

    def _of_name(self, name: _Name) -> str:
        """``x.isnull()``, ``x is not null``, ``x in [...]``, ``x.isin([...])``; empty where none of them follows."""
        column = _column(name, self._columns)
        if self._took("."):
            return self._method(column)
        if self._took("is"):
            negated = self._took("not")
            if not self._took("null", "none"):
                raise self._refuse()
            return f"({column.sql} IS {'NOT ' if negated else ''}NULL)"
        if self._is_word("not") and self._is_word("in", 1):
            self._at += 2
            return f"(NOT {_among(column, self._list())})"
        return _among(column, self._list()) if self._took("in") else ""

    def _method(self, column: Column) -> str:
        kind, text = self._peek()
        self._at += 1
        word = text.lower() if kind == "word" else ""
        self._need("(")
        if word == "isin":
            items = self._list()
            self._need(")")
            return _among(column, items)
        self._need(")")
        if word in _NULL or word in _NOT_NULL:
            return f"({column.sql} IS {'NOT ' if word in _NOT_NULL else ''}NULL)"
        self._at -= 3
        raise self._refuse()

    def _list(self) -> list[Any]:
        closing = "]" if self._took("[") else ")"
        if closing == ")":
            self._need("(")
        items = []
        while not self._took(closing):
            item = self._operand()
            if not isinstance(item, _Constant):
                raise self._refuse()
            items.append(item.value)
            if not self._took(","):
                self._need(closing)
                break
        return items

    def _operand(self) -> _Name | _Constant:
        kind, text = self._peek()
        self._at += 1
        match kind:
            case "number":
                return _Constant(_number(text))
            case "text":
                return _Constant(re.sub(r"\\(.)", r"\1", text[1:-1]))
            case "quoted":
                return _Name(text[1:-1])
            case "word":
                return self._word(text)
        if (kind, text) == ("sign", "-") and self._peek()[0] == "number":
            self._at += 1
            return _Constant(-_number(self._tokens[self._at - 1][1]))
        self._at -= 1
        raise self._refuse()

    def _word(self, word: str) -> _Name | _Constant:
        if word in ("True", "true", "TRUE", "False", "false", "FALSE"):
            return _Constant(word.lower() == "true")
        if word in ("col", "date") and self._peek() == ("sign", "("):
            self._at += 1
            kind, text = self._peek()
            if kind != "text":
                raise self._refuse()
            self._at += 1
            self._need(")")
            return _Name(text[1:-1]) if word == "col" else _Constant(text[1:-1])
        return _Name(word)


def _refusal(rest: str) -> str:
    shown = rest[:40] + ("…" if len(rest) > 40 else "")
    where = f'from "{shown}" on' if rest else "at its end"
    return (
        f"its row_condition is not understood {where}; columns can be compared with constants and with each other, and "
        "joined by and, or, not; nothing is called or computed"
    )


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def _column(name: _Name, columns: Mapping[str, Column]) -> Column:
    if name.name not in columns:
        raise UnfitError(f"its row_condition names no column: {missing_columns_text(list(columns), [name.name])}")
    return columns[name.name]


def _among(column: Column, items: list[Any]) -> str:
    return f"coalesce({member(column, items)}, false)" if items else "false"


def _comparison(left: _Name | _Constant, sign: str, right: _Name | _Constant, columns: Mapping[str, Column]) -> str:
    if isinstance(left, _Constant) and isinstance(right, _Constant):
        raise UnfitError("its row_condition compares two constants")
    if isinstance(left, _Constant):
        left, right, sign = right, left, _TURNED[sign]
    column = _column(left, columns)  # type: ignore[arg-type]
    if isinstance(right, _Constant):
        return _negated_equal(sign, lambda found: compared(column, found, right.value))
    other = _column(right, columns)
    if not any(column.kind in family and other.kind in family for family in _FAMILIES):
        raise UnfitError(
            f'its row_condition compares "{column.name}" ({column.stored}) with "{other.name}" ({other.stored})'
        )
    return _negated_equal(sign, lambda found: f"{column.sql} {found} {other.sql}")


def _negated_equal(sign: str, write: Callable[[str], str]) -> str:
    """A missing value is unlike everything, and otherwise compared with nothing."""
    if sign == "<>":
        return f"(NOT coalesce({write('=')}, false))"
    return f"coalesce({write(sign)}, false)"


def _stored(condition: Mapping[str, Any], columns: Mapping[str, Column], depth: int) -> str:
    """The form that Great Expectations 1.x writes to JSON."""
    kind, parts = condition.get("type"), condition.get("conditions")
    column = condition.get("column")
    name = column.get("name") if isinstance(column, Mapping) else None
    if depth > _MOST_DEPTH:
        raise UnfitError("its row_condition is nested too deeply")
    if kind in ("and", "or") and isinstance(parts, list) and parts and all(isinstance(one, Mapping) for one in parts):
        return f"({f' {kind.upper()} '.join(_stored(one, columns, depth + 1) for one in parts)})"
    if kind == "nullity" and isinstance(name, str) and isinstance(condition.get("is_null"), bool):
        return f"({_column(_Name(name), columns).sql} IS {'' if condition['is_null'] else 'NOT '}NULL)"
    if kind == "pass_through" and isinstance(condition.get("pass_through_filter"), str):
        return condition_sql(condition["pass_through_filter"], columns)
    if kind == "comparison" and isinstance(name, str):
        return _stored_comparison(_Name(name), condition.get("operator"), condition.get("parameter"), columns)
    raise UnfitError("its row_condition is not one that Great Expectations writes")


def _stored_comparison(name: _Name, operator: Any, parameter: Any, columns: Mapping[str, Column]) -> str:
    items = parameter if isinstance(parameter, list) else [parameter]
    if not all(isinstance(item, str | int | float) for item in items):
        raise UnfitError("its row_condition compares with what is no text, number or truth value")
    if operator in ("IN", "NOT_IN") and isinstance(parameter, list):
        among = _among(_column(name, columns), items)
        return among if operator == "IN" else f"(NOT {among})"
    if operator not in _SIGNS or isinstance(parameter, list):
        raise UnfitError("its row_condition compares by no known operator")
    return _comparison(name, _SIGNS[operator], _Constant(parameter), columns)
