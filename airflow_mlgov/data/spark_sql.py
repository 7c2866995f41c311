"""Writes a query of DuckDB's as one of Spark's that says the same of the same rows. DuckDB parses it; what is written
is a closed list of nodes, functions and types, each with Spark's own words for it. Refuses whatever is not on the list:
nothing is guessed, and nothing is passed on as it stands."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_mlgov.errors import ConfigurationError

if TYPE_CHECKING:
    import duckdb

_BITS = {"TINYINT": 8, "SMALLINT": 16, "INTEGER": 32, "BIGINT": 64, "HUGEINT": 128}
_DIGITS = {"TINYINT": 3, "SMALLINT": 5, "INTEGER": 10, "BIGINT": 19, "HUGEINT": 38}
_ZONED = "TIMESTAMP WITH TIME ZONE"
_STORED = {
    "BOOLEAN": "BOOLEAN",
    "TINYINT": "TINYINT",
    "SMALLINT": "SMALLINT",
    "INTEGER": "INT",
    "BIGINT": "BIGINT",
    "HUGEINT": "DECIMAL(38,0)",
    "FLOAT": "FLOAT",
    "DOUBLE": "DOUBLE",
    "VARCHAR": "STRING",
    "DATE": "DATE",
    "TIMESTAMP": "TIMESTAMP_NTZ",
    _ZONED: "TIMESTAMP",
    "BLOB": "BINARY",
    "NULL": "VOID",
}
"""DuckDB's type -> Spark's that holds the same values. HUGEINT has a digit more: a sum of 39 is an error in Spark."""
_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")
_NAMES = {"TIMESTAMPTZ": _ZONED, "INT": "INTEGER", "TEXT": "VARCHAR", "STRING": "VARCHAR", "BOOL": "BOOLEAN"}
_MOMENTS = ("DATE", "TIMESTAMP", _ZONED)
_FLOATS = ("FLOAT", "DOUBLE")

_COMPARISONS = {
    "COMPARE_EQUAL": "=",
    "COMPARE_NOTEQUAL": "<>",
    "COMPARE_LESSTHAN": "<",
    "COMPARE_LESSTHANOREQUALTO": "<=",
    "COMPARE_GREATERTHAN": ">",
    "COMPARE_GREATERTHANOREQUALTO": ">=",
    "COMPARE_DISTINCT_FROM": "IS DISTINCT FROM",
    "COMPARE_NOT_DISTINCT_FROM": "IS NOT DISTINCT FROM",
}
_JAVA_TOO = re.compile(
    r"(?:\\x\{[0-9A-F]{1,6}\}|\\[Azb]|\\[^\w\s]|\\ |\[\^?(?:\\x\{[0-9A-F]{1,6}\}|\\n|\\[^\w\s]|[^\[\]\\&~])+\]"
    r"|\(\?:|\((?!\?)|[)|]|(?:\{\d+(?:,\d*)?\}|[*+?])(?![+?*])|[\w ,:/'\"%@#=!<>;&~-])*"
)
r"""What a regular expression may be made of to mean to Java what it means to RE2; ``\w`` and the like are not in it: a
letter behind a backslash is none of these."""
_NUMBER = r"^ *[-+]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][-+]?[0-9]+)? *$"
_DATED = (
    r"^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"
    r"([T ][0-9]{1,2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?)?$"
)
_FIELDS = {"Y": "([0-9]{4})", "m": "([0-9]{1,2})", "d": "([0-9]{1,2})", "y": "([0-9]{2})",
           "H": "([0-9]{1,2})", "M": "([0-9]{1,2})", "S": "([0-9]{1,2})"}  # fmt: skip


class UnwrittenError(ConfigurationError):
    """A query is sound for DuckDB, and there is no certain way to ask Spark the same. A retry does not help: ask for
    something simpler, or give the rows as files."""

    code = "spark.cannot"


@dataclass(frozen=True)
class Written:
    """An expression in Spark's SQL."""

    sql: str
    type: str
    """DuckDB's; ``NULL`` of a value that is missing in any type."""
    text: str | None = None
    """Of a constant of texts, what it is."""
    digits: bool = False
    """Whether it is a text that was made of a number."""
    double: str | None = None
    """Of a whole number that was made of a double, the double."""


@dataclass(frozen=True)
class Query:
    """A query in Spark's SQL."""

    sql: str
    columns: tuple[tuple[str, str], ...]
    """Name and DuckDB's type of what it gives; a name is empty where the query gives none."""


@dataclass(frozen=True)
class Source:
    """What a name behind FROM stands for."""

    sql: str
    columns: Mapping[str, str]
    """Column -> DuckDB's type."""


@dataclass(frozen=True)
class _Scope:
    """What the names in a query mean."""

    tables: Mapping[str, Source]
    """What may stand behind FROM, in lower case."""
    relations: tuple[tuple[str, Mapping[str, str]], ...] = ()
    """What does: how it is called, and its columns."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Output columns by name, for GROUP BY, ORDER BY and QUALIFY."""

    def column(self, names: Sequence[str]) -> Written:
        """The column of a name, or of a relation's and a column's name."""
        *qualifier, name = names
        if len(qualifier) > 1:
            raise UnwrittenError(f"Spark is asked for {'.'.join(names)[:80]}, a part of a value", code="spark.cannot")
        wanted = qualifier[0].lower() if qualifier else None
        for called, columns in self.relations:
            if wanted is not None and called.lower() != wanted:
                continue
            for known, stored in columns.items():
                if known.lower() == name.lower():
                    before = f"{quoted(called)}." if qualifier else ""
                    return Written(f"{before}{quoted(known)}", stored)
        if wanted is None:
            for known, stored in self.aliases.items():
                if known.lower() == name.lower():
                    return Written(quoted(known), stored)
        raise UnwrittenError(
            f"Spark is asked for a column {'.'.join(names)[:80]}, which is not there", code="spark.cannot"
        )


def quoted(name: str) -> str:
    """A name as Spark's SQL."""
    return f"`{name.replace('`', '``')}`"


def literal(text: str) -> str:
    """A text as Spark's SQL, whatever it holds."""
    known = {"\\": "\\\\", "'": "\\'"}
    return "'" + "".join(known.get(sign, sign if ord(sign) >= 32 else f"\\u{ord(sign):04x}") for sign in text) + "'"


def spark_type(stored: str) -> str:
    """Spark's type for one of DuckDB's.

    :raises UnwrittenError: there is none
    """
    if found := _DECIMAL.fullmatch(stored):
        return f"DECIMAL({found[1]},{found[2]})"
    if stored not in _STORED:
        raise UnwrittenError(f"Spark has no type for {stored[:60]}", code="spark.cannot")
    return _STORED[stored]


def duckdb_type(name: str) -> str:
    """DuckDB's type for one of Spark's, as ``DataFrame.dtypes`` calls it; another one is called as it is."""
    plain = {
        "tinyint": "TINYINT", "smallint": "SMALLINT", "int": "INTEGER", "bigint": "BIGINT", "float": "FLOAT",
        "double": "DOUBLE", "boolean": "BOOLEAN", "string": "VARCHAR", "date": "DATE", "binary": "BLOB",
        "timestamp": _ZONED, "timestamp_ntz": "TIMESTAMP", "void": "NULL",
    }  # fmt: skip
    if name in plain:
        return plain[name]
    if found := re.fullmatch(r"decimal\((\d+),\s*(\d+)\)", name):
        return f"DECIMAL({found[1]},{found[2]})"
    if re.fullmatch(r"(?:var)?char\(\d+\)", name) or name.startswith("string "):
        return "VARCHAR"
    if name.startswith("array<"):
        return f"{duckdb_type(name[6:-1])}[]"
    for beginning in ("struct", "map", "interval"):
        if name.startswith(beginning):
            return name.upper() if beginning == "interval" else f"{beginning.upper()}({name[len(beginning) + 1 : -1]})"
    return name.upper()


def write(query: str, tables: Mapping[str, Source], parser: duckdb.DuckDBPyConnection) -> Query:
    """A query of DuckDB's for Spark.

    :param tables: what may stand behind FROM
    :param parser: a DuckDB, which parses the query and computes its constants
    :raises UnwrittenError: it is no single SELECT, or has a part that is not on the list
    """
    (serialized,) = parser.execute("SELECT json_serialize_sql(?)", [query]).fetchall()[0]
    parsed = json.loads(serialized)
    if parsed.get("error") or len(parsed["statements"]) != 1:
        raise UnwrittenError("Spark is asked for what is no single SELECT", code="spark.cannot")
    known = {name.lower(): source for name, source in tables.items()}
    return _Writer(parser).query(parsed["statements"][0]["node"], known)


class _Writer:
    """Walks through a parsed query."""

    def __init__(self, parser: duckdb.DuckDBPyConnection) -> None:
        self._parser = parser

    # Queries.

    def query(self, node: Mapping[str, Any], tables: Mapping[str, Source]) -> Query:
        """A SELECT, or several joined by UNION ALL, with what stands before it in WITH."""
        tables, before = dict(tables), []
        for item in (node.get("cte_map") or {}).get("map") or []:
            inner = item["value"].get("query_node") or item["value"]["query"]["node"]
            found = self.query(inner, tables)
            names = item["value"].get("aliases") or []
            if names:
                raise UnwrittenError("Spark is asked for a WITH that names its columns", code="spark.cannot")
            before.append(f"{quoted(item['key'])} AS ({found.sql})")
            tables[item["key"].lower()] = Source(quoted(item["key"]), dict(found.columns))
        match node["type"]:
            case "SELECT_NODE":
                body = self._select(node, tables)
            case "SET_OPERATION_NODE":
                body = self._union(node, tables)
            case other:
                raise UnwrittenError(f"Spark is asked for a {other}", code="spark.cannot")
        return Query(f"WITH {', '.join(before)} {body.sql}", body.columns) if before else body

    def _union(self, node: Mapping[str, Any], tables: Mapping[str, Source]) -> Query:
        if node.get("setop_type") != "UNION" or not node.get("setop_all") or node.get("modifiers"):
            raise UnwrittenError("Spark is asked for a set operation that is no plain UNION ALL", code="spark.cannot")
        parts = node.get("children") or [node["left"], node["right"]]
        first, *rest = [self.query(part, tables) for part in parts]
        types = [stored for _, stored in first.columns]
        for part in rest:
            types = [_common(one, other) for one, (_, other) in zip(types, part.columns, strict=True)]
        columns = tuple((name, stored) for (name, _), stored in zip(first.columns, types, strict=True))
        return Query(" UNION ALL ".join(f"({part.sql})" for part in (first, *rest)), columns)

    def _select(self, node: Mapping[str, Any], tables: Mapping[str, Source]) -> Query:
        if node.get("having") or (node.get("sample") and node["sample"].get("method") != "Reservoir"):
            raise UnwrittenError("Spark is asked for HAVING, or for a sample that is no reservoir", code="spark.cannot")
        source, relations = self._from(node["from_table"], tables)
        scope = _Scope(tables, relations)
        items, columns = self._listed(node["select_list"], scope)
        scope = _Scope(tables, relations, {name: stored for name, stored in columns if name})
        distinct = any(each["type"] == "DISTINCT_MODIFIER" for each in node.get("modifiers") or [])
        parts = [f"SELECT {'DISTINCT ' if distinct else ''}{', '.join(items)}", *([f"FROM {source}"] if source else [])]
        if node.get("where_clause"):
            parts.append(f"WHERE {self.truth(node['where_clause'], scope)}")
        if grouped := self._grouped(node, scope):
            parts.append(grouped)
        sql = " ".join(parts)
        if node.get("qualify"):
            sql = self._qualified(sql, node["qualify"], columns, tables)
        if node.get("sample"):
            size = int(node["sample"]["sample_size"]["value"])
            sql = f"SELECT * FROM ({sql}) ORDER BY rand(17) LIMIT {size}"  # noqa: S608 - written by us
        return Query(sql + self._ordered(node.get("modifiers") or [], scope), columns)

    def _qualified(
        self, sql: str, condition: Mapping[str, Any], columns: Sequence[tuple[str, str]], tables: Mapping[str, Source]
    ) -> str:
        """QUALIFY, which Spark has not, over the columns that the query gives."""
        if not all(name for name, _ in columns):
            raise UnwrittenError("Spark is asked to QUALIFY columns without a name", code="spark.cannot")
        kept = self.truth(condition, _Scope(tables, (("mlgov_q", dict(columns)),)))
        listing = ", ".join(quoted(name) for name, _ in columns)
        marked = f"SELECT *, {kept} AS `mlgov: kept` FROM ({sql}) AS mlgov_q"  # noqa: S608 - written by us
        return f"SELECT {listing} FROM ({marked}) WHERE `mlgov: kept`"  # noqa: S608 - written by us

    def _listed(
        self, items: Iterable[Mapping[str, Any]], scope: _Scope
    ) -> tuple[list[str], tuple[tuple[str, str], ...]]:
        written: list[str] = []
        columns: list[tuple[str, str]] = []
        for item in items:
            if item["class"] == "STAR":
                if any(item.get(key) for key in ("exclude_list", "replace_list", "expr", "columns", "rename_list")):
                    raise UnwrittenError("Spark is asked for some of all columns", code="spark.cannot")
                wanted = item.get("relation_name") or ""
                for called, there in scope.relations:
                    if not wanted or wanted.lower() == called.lower():
                        written += [f"{quoted(called)}.{quoted(name)}" for name in there]
                        columns += there.items()
                continue
            found = self.expression(item, scope)
            name = item.get("alias") or (item["column_names"][-1] if item["class"] == "COLUMN_REF" else "")
            written.append(f"{found.sql} AS {quoted(name)}" if name else found.sql)
            columns.append((name, found.type))
        return written, tuple(columns)

    def _grouped(self, node: Mapping[str, Any], scope: _Scope) -> str:
        expressions = [self.expression(one, scope).sql for one in node.get("group_expressions") or []]
        sets = node.get("group_sets") or []
        if node.get("aggregate_handling") == "FORCE_AGGREGATES":
            return "GROUP BY ALL"
        if not expressions:
            return ""
        if len(sets) > 1:
            listed = ", ".join(f"({', '.join(expressions[at] for at in each)})" for each in sets)
            return f"GROUP BY GROUPING SETS ({listed})"
        return f"GROUP BY {', '.join(expressions)}"

    def _ordered(self, modifiers: Iterable[Mapping[str, Any]], scope: _Scope) -> str:
        parts = ""
        for each in modifiers:
            match each["type"]:
                case "ORDER_MODIFIER":
                    parts += f" ORDER BY {', '.join(self._orders(each['orders'], scope))}"
                case "LIMIT_MODIFIER":
                    for word in ("limit", "offset"):
                        if each.get(word):
                            parts += f" {word.upper()} {self._whole(each[word])}"
                case "DISTINCT_MODIFIER":
                    if each.get("distinct_on_targets"):
                        raise UnwrittenError("Spark is asked for DISTINCT ON", code="spark.cannot")
                case other:
                    raise UnwrittenError(f"Spark is asked for a {other}", code="spark.cannot")
        return parts

    def _orders(self, orders: Iterable[Mapping[str, Any]], scope: _Scope) -> list[str]:
        found = []
        for each in orders:
            if each.get("null_order", "ORDER_DEFAULT") not in ("ORDER_DEFAULT", "NULLS LAST"):
                raise UnwrittenError("Spark is asked to sort what is missing before the rest", code="spark.cannot")
            way = "DESC" if each["type"] == "DESCENDING" else "ASC"
            found.append(f"{self.expression(each['expression'], scope).sql} {way} NULLS LAST")
        return found

    @staticmethod
    def _whole(node: Mapping[str, Any]) -> int:
        text = str((node.get("literal") or {}).get("text", ""))
        if not text.isdigit():
            raise UnwrittenError("Spark is asked for a LIMIT that is no number", code="spark.cannot")
        return int(text)

    def _from(
        self, node: Mapping[str, Any], tables: Mapping[str, Source]
    ) -> tuple[str, tuple[tuple[str, Mapping[str, str]], ...]]:
        if node.get("sample") or node.get("column_name_alias") or node.get("at_clause"):
            raise UnwrittenError("Spark is asked for a part of a table", code="spark.cannot")
        match node["type"]:
            case "EMPTY":
                return "", ()
            case "BASE_TABLE":
                name = node["table_name"]
                source = tables.get(name.lower())
                if source is None or node.get("schema_name") or node.get("catalog_name"):
                    raise UnwrittenError(
                        f"Spark is asked for the table {name[:60]}, which is not there", code="spark.cannot"
                    )
                called = node.get("alias") or name
                return f"{source.sql} AS {quoted(called)}", ((called, source.columns),)
            case "SUBQUERY":
                found, called = self.query(node["subquery"]["node"], tables), node.get("alias") or "mlgov_part"
                columns = {name: stored for name, stored in found.columns if name}
                return f"({found.sql}) AS {quoted(called)}", ((called, columns),)
            case "JOIN":
                return self._join(node, tables)
        raise UnwrittenError(f"Spark is asked to read from a {node['type']}", code="spark.cannot")

    def _join(
        self, node: Mapping[str, Any], tables: Mapping[str, Source]
    ) -> tuple[str, tuple[tuple[str, Mapping[str, str]], ...]]:
        words = {"INNER": "JOIN", "SEMI": "LEFT SEMI JOIN"}
        kind = node["join_type"]
        if kind not in words or node.get("ref_type", "REGULAR") != "REGULAR":
            raise UnwrittenError(f"Spark is asked for a join of the type {kind}", code="spark.cannot")
        (left, lefts), (right, rights) = (self._from(node[side], tables) for side in ("left", "right"))
        if node.get("using_columns"):
            on = f"USING ({', '.join(map(quoted, node['using_columns']))})"
        else:
            on = f"ON {self.truth(node['condition'], _Scope(tables, (*lefts, *rights)))}"
        return f"{left} {words[kind]} {right} {on}", lefts if kind == "SEMI" else (*lefts, *rights)

    # Expressions.

    def truth(self, node: Mapping[str, Any], scope: _Scope) -> str:
        """A condition."""
        found = self.expression(node, scope)
        if found.type not in ("BOOLEAN", "NULL"):
            raise UnwrittenError(f"Spark is asked for a condition that is {found.type}", code="spark.cannot")
        return found.sql

    def expression(self, node: Mapping[str, Any], scope: _Scope) -> Written:
        """Any expression."""
        if node["class"] == "CONSTANT":
            return self._constant(node)
        if node["class"] == "COLUMN_REF":
            return scope.column(node["column_names"])
        known: Mapping[str, Callable[[Mapping[str, Any], _Scope], Written]] = {
            "BETWEEN": self._between,
            "CASE": self._case,
            "CAST": self._cast,
            "COMPARISON": self._compared,
            "CONJUNCTION": self._conjunction,
            "FUNCTION": self._function,
            "OPERATOR": self._operator,
            "SUBQUERY": self._subquery,
            "WINDOW": self._window,
        }
        if node["class"] not in known:
            raise UnwrittenError(f"Spark is asked for a {node['class']}", code="spark.cannot")
        return known[node["class"]](node, scope)

    def _compared(self, node: Mapping[str, Any], scope: _Scope) -> Written:
        return self._comparison(_COMPARISONS.get(node["type"], ""), node["left"], node["right"], scope)

    def _conjunction(self, node: Mapping[str, Any], scope: _Scope) -> Written:
        sign = " AND " if node["type"] == "CONJUNCTION_AND" else " OR "
        return Written(f"({sign.join(self.truth(each, scope) for each in node['children'])})", "BOOLEAN")

    def _between(self, node: Mapping[str, Any], scope: _Scope) -> Written:
        ends = (("lower", ">="), ("upper", "<="))
        low, high = (self._comparison(sign, node["input"], node[end], scope).sql for end, sign in ends)
        return Written(f"({low} AND {high})", "BOOLEAN")

    def _constant(self, node: Mapping[str, Any]) -> Written:
        found = node["literal"]
        text = str(found.get("text", ""))
        match found["kind"]:
            case "NULL_LITERAL":
                return Written("NULL", "NULL")
            case "BOOLEAN":
                return Written(text.lower(), "BOOLEAN")
            case "STRING":
                return Written(literal(text), "VARCHAR", text)
            case "INTEGER":
                return _number(int(text))
            case "NUMERIC":
                return self._typed(text, "DOUBLE" if "e" in text.lower() else _decimal_of(text))
        raise UnwrittenError(f"Spark is asked for a constant of the kind {found['kind']}", code="spark.cannot")

    def _typed(self, text: str, stored: str) -> Written:
        """A constant of a type, as DuckDB reads its text."""
        import duckdb

        try:
            value_of = "epoch_us(v)" if stored == _ZONED else "v"
            ((value, written),) = self._parser.execute(
                f"SELECT {value_of}, v::VARCHAR FROM (SELECT CAST(? AS {stored}) AS v)",  # noqa: S608 - a type of ours
                [text],
            ).fetchall()
        except duckdb.Error:
            raise UnwrittenError(f"Spark is asked for a constant that is no {stored}", code="spark.cannot") from None
        if value is None:
            return Written(f"CAST(NULL AS {spark_type(stored)})", stored)
        return Written(_constant_sql(value, str(written), stored), stored, text if stored == "VARCHAR" else None)

    def _cast(self, node: Mapping[str, Any], scope: _Scope) -> Written:
        stored = _type_of(node["type_expr"])
        child = node["child"]
        if child["class"] == "CONSTANT" and child["literal"]["kind"] != "NULL_LITERAL" and not node.get("try_cast"):
            return self._typed(str(child["literal"]["text"]), stored)
        return _converted(self.expression(child, scope), stored, bool(node.get("try_cast")))

    def _comparison(self, sign: str, left: Mapping[str, Any], right: Mapping[str, Any], scope: _Scope) -> Written:
        if not sign:
            raise UnwrittenError("Spark is asked for a comparison that is not on the list", code="spark.cannot")
        one, other = _alike([self.expression(left, scope), self.expression(right, scope)])
        return Written(f"({one.sql} {sign} {other.sql})", "BOOLEAN")

    def _case(self, node: Mapping[str, Any], scope: _Scope) -> Written:
        conditions = [self.truth(each["when_expr"], scope) for each in node["case_checks"]]
        values = [self.expression(each["then_expr"], scope) for each in node["case_checks"]]
        values = _alike([*values, self.expression(node["else_expr"], scope)])
        ladder = " ".join(
            f"WHEN {condition} THEN {value.sql}" for condition, value in zip(conditions, values[:-1], strict=True)
        )
        otherwise = "" if values[-1].sql == "NULL" else f" ELSE {values[-1].sql}"
        stored = next((value.type for value in values if value.type != "NULL"), "NULL")
        digits, double = all(value.digits for value in values[:-1]), None
        if len(conditions) == 1 and not otherwise and values[0].double:
            double = f"CASE WHEN {conditions[0]} THEN {values[0].double} END"
        return Written(f"CASE {ladder}{otherwise} END", stored, digits=digits, double=double)

    def _operator(self, node: Mapping[str, Any], scope: _Scope) -> Written:
        children = [self.expression(each, scope) for each in node["children"]]
        match node["type"]:
            case "OPERATOR_NOT":
                return Written(f"(NOT {self.truth(node['children'][0], scope)})", "BOOLEAN")
            case "OPERATOR_IS_NULL" | "OPERATOR_IS_NOT_NULL":
                word = "IS NULL" if node["type"] == "OPERATOR_IS_NULL" else "IS NOT NULL"
                return Written(f"({children[0].sql} {word})", "BOOLEAN")
            case "COMPARE_IN" | "COMPARE_NOT_IN":
                first, *rest = _alike(children)
                word = "IN" if node["type"] == "COMPARE_IN" else "NOT IN"
                return Written(f"({first.sql} {word} ({', '.join(each.sql for each in rest)}))", "BOOLEAN")
            case "OPERATOR_COALESCE":
                found = _alike(children)
                stored = next((each.type for each in found if each.type != "NULL"), "NULL")
                return Written(f"coalesce({', '.join(each.sql for each in found)})", stored)
            case "OPERATOR_NULLIF":
                one, other = _alike(children)
                return Written(f"nullif({one.sql}, {other.sql})", one.type)
            case "GROUPING_FUNCTION" if len(children) == 1:
                return Written(f"grouping({children[0].sql})", "BIGINT")
        raise UnwrittenError(f"Spark is asked for the operator {node['type']}", code="spark.cannot")

    def _subquery(self, node: Mapping[str, Any], scope: _Scope) -> Written:
        found = self.query(node["subquery"]["node"], scope.tables)
        if len(found.columns) != 1:
            raise UnwrittenError("Spark is asked for several values in the place of one", code="spark.cannot")
        stored = found.columns[0][1]
        if node["subquery_type"] == "SCALAR":
            return Written(f"({found.sql})", stored)
        if node["subquery_type"] == "ANY" and node.get("comparison_type") == "COMPARE_EQUAL":
            one = self.expression(node["child"], scope)
            if one.type != stored:
                raise UnwrittenError(f"Spark is asked whether {one.type} is among {stored}", code="spark.cannot")
            return Written(f"({one.sql} IN ({found.sql}))", "BOOLEAN")
        raise UnwrittenError(f"Spark is asked for a subquery of the type {node['subquery_type']}", code="spark.cannot")

    def _arguments(self, node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = node.get("arguments") or node.get("children") or []
        return [each.get("expression", each) for each in found]

    def _window(self, node: Mapping[str, Any], scope: _Scope) -> Written:
        usual = (
            node.get("start") == "UNBOUNDED_PRECEDING"
            and node.get("end") == "CURRENT_ROW_RANGE"
            and node.get("exclude_clause", "NO_OTHER") == "NO_OTHER"
        )
        if not usual or node.get("filter_expr") or node.get("distinct") or node.get("ignore_nulls"):
            raise UnwrittenError("Spark is asked for a window that is not the usual one", code="spark.cannot")
        name, given = (
            str(node["function_name"]).lower(),
            [self.expression(each, scope) for each in self._arguments(node)],
        )
        if name in ("row_number", "rank") and node.get("orders") and not given:
            found = Written(f"{name}()", "BIGINT")
        elif name in ("count", "count_star", "min", "max", "sum"):
            found = _windowed(name, given)
        else:
            raise UnwrittenError(f"Spark is asked for {name} over a window", code="spark.cannot")
        by = ", ".join(self.expression(each, scope).sql for each in node.get("partitions") or [])
        orders = ", ".join(self._orders(node.get("orders") or [], scope))
        over = " ".join(filter(None, [f"PARTITION BY {by}" if by else "", f"ORDER BY {orders}" if orders else ""]))
        return Written(f"{found.sql} OVER ({over})", found.type)

    def _function(self, node: Mapping[str, Any], scope: _Scope) -> Written:
        name, nodes = str(node["function_name"]).lower(), self._arguments(node)
        if (node.get("order_bys") or {}).get("orders") or node.get("schema") or node.get("catalog"):
            raise UnwrittenError(f"Spark is asked for {name[:40]} in an order, or of a schema", code="spark.cannot")
        if name == "bit_count" and str(nodes[0].get("function_name")).lower() == "bitstring_agg":
            counted = self.expression(self._arguments(nodes[0])[0], scope)
            return Written(f"count(DISTINCT {counted.sql})", "BIGINT")
        given = [self.expression(each, scope) for each in nodes]
        if name in _AGGREGATES:
            kept = f" FILTER (WHERE {self.truth(node['filter'], scope)})" if node.get("filter") else ""
            if node.get("distinct") and (name != "count" or kept):
                raise UnwrittenError(f"Spark is asked for {name} of different values", code="spark.cannot")
            if node.get("distinct"):
                return Written(f"count(DISTINCT {given[0].sql})", "BIGINT")
            return _AGGREGATES[name](given, kept)
        if node.get("filter") or node.get("distinct"):
            raise UnwrittenError(f"Spark is asked for {name[:40]} of some values", code="spark.cannot")
        if name == "list_value" or name not in _FUNCTIONS:
            raise UnwrittenError(
                f"Spark is asked for the function {name[:40]}, which is not on the list", code="spark.cannot"
            )
        return _FUNCTIONS[name](given)


def _type_of(node: Mapping[str, Any]) -> str:
    name = str(node["type_name"]).upper()
    given = [str(each.get("literal", {}).get("text", "")) for each in node.get("children") or []]
    name = _NAMES.get(name, name)
    if name in ("DECIMAL", "NUMERIC"):
        return f"DECIMAL({','.join(given)})" if len(given) == 2 else "DECIMAL(18,3)"
    spark_type(name)
    return name


def _number(value: int) -> Written:
    stored = next((each for each in ("INTEGER", "BIGINT") if abs(value) < 2 ** (_BITS[each] - 1)), "HUGEINT")
    return Written(_constant_sql(value, str(value), stored), stored)


def _decimal_of(text: str) -> str:
    whole, _, fraction = text.lstrip("-+").partition(".")
    return f"DECIMAL({max(1, len(whole.lstrip('0')) + len(fraction))},{len(fraction)})"


def _constant_sql(value: Any, written: str, stored: str) -> str:
    """A constant as Spark's SQL.

    :param value: as Python has it
    :param written: as DuckDB writes it
    """
    if stored in _FLOATS:
        plain = {"nan": "'NaN'", "inf": "'Infinity'", "-inf": "'-Infinity'"}.get(repr(float(value)))
        found = f"CAST({plain} AS DOUBLE)" if plain else f"({float(value)!r}D)"
        return found if stored == "DOUBLE" else f"CAST({found} AS FLOAT)"
    if stored == "BOOLEAN":
        return written.lower()
    if stored == "VARCHAR":
        return literal(written)
    if stored == "DATE":
        return f"DATE{literal(written)}"
    if stored == "TIMESTAMP":
        return f"TIMESTAMP_NTZ{literal(written)}"
    if stored == _ZONED:
        return f"timestamp_micros({int(value)}L)"
    if stored == "INTEGER":
        return f"({written})"
    if stored == "BIGINT" and abs(value) < 2**63:
        return f"({written}L)"
    return f"CAST({literal(written)} AS {spark_type(stored)})"


def _common(one: str, other: str) -> str:
    """The type in which DuckDB compares two.

    :raises UnwrittenError: there is none on the list
    """
    if one == other or other == "NULL":
        return one
    if one == "NULL":
        return other
    if all(each in _BITS for each in (one, other)):
        return max(one, other, key=_BITS.__getitem__)
    pair = {one, other}
    if all(each in _BITS or each in _FLOATS or _DECIMAL.fullmatch(each) for each in pair):
        if "DOUBLE" in pair:
            return "DOUBLE"
        if "FLOAT" in pair:
            return "FLOAT"
        sizes = [_size(each) for each in pair]
        whole, scale = max(digits - after for digits, after in sizes), max(after for _, after in sizes)
        return f"DECIMAL({min(38, whole + scale)},{scale})"
    if pair <= set(_MOMENTS):
        return max(pair, key=_MOMENTS.index)
    raise UnwrittenError(f"Spark is asked to compare {one} with {other}", code="spark.cannot")


def _size(stored: str) -> tuple[int, int]:
    """Digits in all, and behind the point."""
    found = _DECIMAL.fullmatch(stored)
    return (int(found[1]), int(found[2])) if found else (_DIGITS[stored], 0)


def _alike(values: Sequence[Written]) -> list[Written]:
    """Several values as one type."""
    stored = "NULL"
    for value in values:
        stored = _common(stored, value.type)
    return [value if value.type in (stored, "NULL") else _converted(value, stored) for value in values]


def _converted(value: Written, stored: str, tried: bool = False) -> Written:
    """A value as another type, as DuckDB makes it.

    :param tried: NULL where it cannot be
    :raises UnwrittenError: the two engines could differ
    """
    if value.type == stored:
        return value
    target, kind = spark_type(stored), value.type
    if kind == "NULL":
        return Written(f"CAST(NULL AS {target})", stored)
    if stored == "VARCHAR":
        return _as_text(value)
    if kind == "VARCHAR":
        return _of_text(value, stored, tried)
    if kind in _FLOATS and stored == "HUGEINT":
        double = value.sql if kind == "DOUBLE" else f"CAST({value.sql} AS DOUBLE)"
        return Written(_of_limbs(*_limbs(double)), stored, double=double)
    if kind in _FLOATS and stored in _BITS:
        return Written(f"CAST(rint({value.sql}) AS {target})", stored)
    numbers = (*_BITS, *_FLOATS)
    if all(each in numbers or _DECIMAL.fullmatch(each) for each in (kind, stored)):
        return Written(f"{'try_cast' if tried else 'CAST'}({value.sql} AS {target})", stored)
    if kind == "BOOLEAN" and stored in _BITS:
        return Written(f"CAST({value.sql} AS {target})", stored)
    if kind in _MOMENTS and stored in _MOMENTS:
        return Written(f"CAST({value.sql} AS {target})", stored)
    raise UnwrittenError(f"Spark is asked to make {stored} of {kind}", code="spark.cannot")


def _as_text(value: Written) -> Written:
    if value.type == _ZONED:
        return Written(f"concat(CAST({value.sql} AS STRING), '+00')", "VARCHAR")
    if value.type == "BLOB" or (value.type not in _STORED and not _DECIMAL.fullmatch(value.type)):
        raise UnwrittenError(f"Spark is asked to write {value.type} as text", code="spark.cannot")
    number = value.type in _BITS or value.type in _FLOATS or bool(_DECIMAL.fullmatch(value.type))
    return Written(f"CAST({value.sql} AS STRING)", "VARCHAR", digits=number)


def _of_text(value: Written, stored: str, tried: bool) -> Written:
    target = spark_type(stored)
    if value.digits and stored in _FLOATS:
        return Written(f"CAST({value.sql} AS {target})", stored)
    if tried and stored == "DOUBLE":
        number = f"try_cast({value.sql} AS DOUBLE)"
        return Written(f"CASE WHEN {value.sql} RLIKE {literal(_NUMBER)} THEN {number} END", stored)
    if tried and stored in _MOMENTS:
        moment = f"try_cast({value.sql} AS {target})"
        return Written(f"CASE WHEN {value.sql} RLIKE {literal(_DATED)} THEN {moment} END", stored)
    raise UnwrittenError(f"Spark is asked to read texts as {stored}", code="spark.cannot")


def _limbs(double: str) -> tuple[str, str, str]:
    """A double, rounded, as three BIGINTs: how often 2**60, how often 2**30 of the rest, and the rest. Spark's own cast
    to a decimal takes the 17 digits that it would be written with; more than 2**123 is an error."""
    value = f"rint({double})"
    high = f"CAST({value} / 1152921504606846976.0D AS BIGINT)"
    rest = f"({value} - CAST({high} AS DOUBLE) * 1152921504606846976.0D)"
    middle = f"CAST({rest} / 1073741824.0D AS BIGINT)"
    return high, middle, f"CAST({rest} - CAST({middle} AS DOUBLE) * 1073741824.0D AS BIGINT)"


def _of_limbs(high: str, middle: str, low: str) -> str:
    """The whole number again."""
    powers = (" * 1152921504606846976BD", " * 1073741824BD", "")
    parts = (f"CAST({part} AS DECIMAL(20,0)){power}" for part, power in zip((high, middle, low), powers, strict=True))
    return f"CAST({' + '.join(parts)} AS DECIMAL(38,0))"


# Aggregates.

_Aggregate = Callable[[Sequence[Written], str], Written]


def _count(given: Sequence[Written], kept: str) -> Written:
    return Written(f"count({given[0].sql if given else '1'}){kept}", "BIGINT")


def _sum(given: Sequence[Written], kept: str) -> Written:
    """A sum: exact of whole numbers, which Spark would let overflow, and of doubles that became such."""
    value = given[0]
    if value.double:
        return Written(_of_limbs(*(f"sum({limb}){kept}" for limb in _limbs(value.double))), "HUGEINT")
    if found := _DECIMAL.fullmatch(value.type):
        return Written(f"CAST(sum({value.sql}){kept} AS DECIMAL(38,{found[2]}))", f"DECIMAL(38,{found[2]})")
    if value.type in _FLOATS:
        return Written(f"sum(CAST({value.sql} AS DOUBLE)){kept}", "DOUBLE")
    if value.type == "BIGINT":
        high, low = f"sum(shiftright({value.sql}, 32)){kept}", f"sum({value.sql} & 4294967295L){kept}"
        return Written(f"(CAST({high} AS DECIMAL(20,0)) * 4294967296BD + CAST({low} AS DECIMAL(20,0)))", "HUGEINT")
    if value.type in _BITS:
        wide = value.sql if value.type == "HUGEINT" else f"CAST({value.sql} AS BIGINT)"
        return Written(f"CAST(sum({wide}){kept} AS DECIMAL(38,0))", "HUGEINT")
    raise UnwrittenError(f"Spark is asked for a sum of {value.type}", code="spark.cannot")


def _extreme(name: str) -> _Aggregate:
    def aggregate(given: Sequence[Written], kept: str) -> Written:
        if len(given) != 1:
            raise UnwrittenError(f"Spark is asked for several values by {name}", code="spark.cannot")
        return Written(f"{name}({given[0].sql}){kept}", given[0].type)

    return aggregate


def _either(name: str) -> _Aggregate:
    return lambda given, kept: Written(f"{name}({given[0].sql}){kept}", "BOOLEAN")


def _mean(given: Sequence[Written], kept: str) -> Written:
    return Written(f"avg(CAST({given[0].sql} AS DOUBLE)){kept}", "DOUBLE")


_AGGREGATES: Mapping[str, _Aggregate] = {
    "count": _count,
    "count_star": _count,
    "sum": _sum,
    "min": _extreme("min"),
    "max": _extreme("max"),
    "avg": _mean,
    "bool_or": _either("bool_or"),
    "bool_and": _either("bool_and"),
}


def _windowed(name: str, given: Sequence[Written]) -> Written:
    """An aggregate over a window; sums of counts fit into 64 bits, and are an error where they do not."""
    if name in ("count", "count_star"):
        return _count(given, "")
    value = given[0]
    if name == "sum" and value.type in _BITS:
        return Written(f"sum({value.sql})", "HUGEINT")
    if name == "sum" and value.type not in _FLOATS:
        raise UnwrittenError(f"Spark is asked for a running sum of {value.type}", code="spark.cannot")
    return Written(f"{name}({value.sql})", value.type)


# Functions.

_Function = Callable[[Sequence[Written]], Written]


def _arithmetic(sign: str) -> _Function:
    def function(given: Sequence[Written]) -> Written:
        if len(given) == 1:
            return Written(f"({sign}{given[0].sql})", given[0].type)
        stored = _common(given[0].type, given[1].type)
        one, other = given
        if stored in _FLOATS or (stored in _BITS and stored != "HUGEINT"):
            one, other = _alike(given)
            return Written(f"({one.sql} {sign} {other.sql})", stored)
        if stored in ("NULL", *_MOMENTS):
            raise UnwrittenError(f"Spark is asked to compute with {stored}", code="spark.cannot")
        if stored == "HUGEINT":
            return Written(f"({one.sql} {sign} {other.sql})", stored)
        return Written(f"({one.sql} {sign} {other.sql})", _computed(sign, one.type, other.type))

    return function


def _computed(sign: str, one: str, other: str) -> str:
    """The type of a result of decimals."""
    (digits, scale), (others, other_scale) = _size(one), _size(other)
    if sign == "*":
        digits, scale = digits + others, scale + other_scale
    else:
        whole = max(digits - scale, others - other_scale) + 1
        scale = max(scale, other_scale)
        digits = whole + scale
    if scale > 38:
        raise UnwrittenError("Spark is asked for more than 38 digits", code="spark.cannot")
    return f"DECIMAL({min(38, digits)},{scale})"


def _divided(given: Sequence[Written]) -> Written:
    """A quotient is a float, and none by zero: Spark calls that an error."""
    one, other = (_converted(each, "DOUBLE") for each in given)
    return Written(f"({one.sql} / {other.sql})", "DOUBLE")


def _whole_part(sign: str) -> _Function:
    def function(given: Sequence[Written]) -> Written:
        stored = _common(given[0].type, given[1].type)
        if stored not in _BITS:
            raise UnwrittenError(f"Spark is asked for the remainder of {stored}", code="spark.cannot")
        one, other = _alike(given)
        if sign == "%":
            return Written(f"({one.sql} % {other.sql})", stored)
        found = f"({one.sql} div {other.sql})"
        return Written(f"CAST({found} AS {spark_type(stored)})", stored)

    return function


def _plain(name: str, stored: str = "", kinds: Sequence[str] = ()) -> _Function:
    """A function that Spark has under a name of its own.

    :param stored: what it gives; the type of its first argument if empty
    :param kinds: what its arguments may be; anything if empty
    """

    def function(given: Sequence[Written]) -> Written:
        if kinds and any(each.type not in kinds for each in given):
            raise UnwrittenError(
                f"Spark is asked for {name} of {', '.join(each.type for each in given)[:60]}", code="spark.cannot"
            )
        return Written(f"{name}({', '.join(each.sql for each in given)})", stored or given[0].type)

    return function


def _holds(form: str) -> _Function:
    """A test of a float, which is NULL of NULL; of a point in time, which Spark has finite alone."""

    def function(given: Sequence[Written]) -> Written:
        (value,) = given
        if value.type in _MOMENTS:
            found = "true" if form == "finite" else "false"
            return Written(f"CASE WHEN {value.sql} IS NOT NULL THEN {found} END", "BOOLEAN")
        double = _converted(value, "DOUBLE").sql
        sql = {
            "nan": f"({double} = CAST('NaN' AS DOUBLE))",
            "infinite": f"(abs({double}) = CAST('Infinity' AS DOUBLE))",
            "finite": f"(abs({double}) < CAST('Infinity' AS DOUBLE))",
        }[form]
        return Written(sql, "BOOLEAN")

    return function


def _truncated(given: Sequence[Written]) -> Written:
    (value,) = given
    if found := _DECIMAL.fullmatch(value.type):
        target = f"DECIMAL({found[1]},0)"
        sql = f"CASE WHEN {value.sql} < 0 THEN -floor(-{value.sql}) ELSE floor({value.sql}) END"
        return Written(f"CAST({sql} AS {target})", target)
    if value.type in _FLOATS:
        whole = f"CAST(CAST({value.sql} AS BIGINT) AS {value.type})"
        return Written(f"CASE WHEN abs({value.sql}) < 9007199254740992D THEN {whole} ELSE {value.sql} END", value.type)
    return value


def _floored(given: Sequence[Written]) -> Written:
    (value,) = given
    return Written(f"CAST(floor({_converted(value, 'DOUBLE').sql}) AS DOUBLE)", "DOUBLE")


def _matched(form: str) -> _Function:
    def function(given: Sequence[Written]) -> Written:
        text, pattern = given[0], given[1].text
        if len(given) != 2 or text.type != "VARCHAR" or pattern is None or not _JAVA_TOO.fullmatch(pattern):
            raise UnwrittenError(
                "Spark is asked for a regular expression that Java may read differently", code="spark.cannot"
            )
        return Written(f"({text.sql} RLIKE {literal(form.format(pattern))})", "BOOLEAN")

    return function


def _like(negated: bool) -> _Function:
    def function(given: Sequence[Written]) -> Written:
        text, pattern = given[0], given[1].text
        escape = given[2].text if len(given) > 2 else ""
        if text.type != "VARCHAR" or pattern is None or escape is None:
            raise UnwrittenError("Spark is asked for a LIKE whose pattern is no constant", code="spark.cannot")
        return Written(f"({text.sql} {'NOT ' if negated else ''}RLIKE {literal(_of_like(pattern, escape))})", "BOOLEAN")

    return function


def _of_like(pattern: str, escape: str) -> str:
    """LIKE as a regular expression of Java's: its own reads an escape where DuckDB has none."""
    found, signs = [], iter(pattern)
    for sign in signs:
        if escape and sign == escape:
            sign = next(signs, "")
            found.append(f"\\x{{{ord(sign):X}}}" if sign else "")
        elif sign in "%_":
            found.append(".*" if sign == "%" else ".")
        else:
            found.append(f"\\x{{{ord(sign):X}}}")
    return f"(?s)\\A{''.join(found)}\\z"


def _parsed(given: Sequence[Written]) -> Written:
    """``try_strptime``: the fields by a regular expression, and the calendar by a cast."""
    text, form = given[0].sql, given[1].text
    parts = re.split(r"%(.)", form or "")
    names = [part for part in parts[1::2] if part != "%"]
    if form is None or not {"Y", "m", "d"} <= set(names) <= set("YmdHMS") or len(set(names)) < len(names):
        raise UnwrittenError("Spark is asked for a format of dates that is not on the list", code="spark.cannot")
    pattern = "".join(
        (_FIELDS.get(part, "%") if at % 2 else re.sub(r"(\W)", r"\\\1", part)) for at, part in enumerate(parts)
    )
    taken = {
        name: f"lpad(regexp_extract({text}, {literal(f'^{pattern}$')}, {at}), {4 if name == 'Y' else 2}, '0')"
        for at, name in enumerate(names, start=1)
    }
    day = f"concat_ws('-', {taken['Y']}, {taken['m']}, {taken['d']})"
    clock = ", ".join(taken.get(name, "'00'") for name in "HMS")
    moment = f"try_cast(concat({day}, ' ', concat_ws(':', {clock})) AS TIMESTAMP_NTZ)"
    return Written(f"CASE WHEN {text} RLIKE {literal(f'^{pattern}$')} THEN {moment} END", "TIMESTAMP")


def _epoch(unit: int) -> _Function:
    """Seconds as a float, or microseconds."""

    def function(given: Sequence[Written]) -> Written:
        (value,) = given
        if value.type not in _MOMENTS:
            raise UnwrittenError(f"Spark is asked for the seconds of {value.type}", code="spark.cannot")
        if value.type == _ZONED:
            micros = f"unix_micros({value.sql})"
        else:
            moment = f"CAST({value.sql} AS TIMESTAMP_NTZ)"
            micros = f"timestampdiff(MICROSECOND, TIMESTAMP_NTZ'1970-01-01 00:00:00', {moment})"
        if unit == 1:
            return Written(micros, "BIGINT")
        return Written(f"(CAST({micros} AS DOUBLE) / 1000000.0D)", "DOUBLE")

    return function


def _sign(given: Sequence[Written]) -> Written:
    codes = re.fullmatch(r"\((\d+)\)", given[0].sql)
    if not codes:
        raise UnwrittenError("Spark is asked for a sign by a number that is no constant", code="spark.cannot")
    return Written(literal(chr(int(codes[1]))), "VARCHAR", chr(int(codes[1])))


def _joined(given: Sequence[Written]) -> Written:
    """``||``: NULL if a part is."""
    return Written(
        f"concat({', '.join(_as_text(each).sql if each.type != 'VARCHAR' else each.sql for each in given)})", "VARCHAR"
    )


def _same_hash(given: Sequence[Written]) -> Written:
    """Another hash than DuckDB's, that is equal where the values are; only ever compared with itself."""
    return Written(f"xxhash64({', '.join(each.sql for each in given)})", "BIGINT")


def _nullified(given: Sequence[Written]) -> Written:
    one, other = _alike(given)
    return Written(f"nullif({one.sql}, {other.sql})", one.type)


def _first_known(given: Sequence[Written]) -> Written:
    found = _alike(given)
    stored = next((each.type for each in found if each.type != "NULL"), "NULL")
    return Written(f"coalesce({', '.join(each.sql for each in found)})", stored)


_TEXT = ("VARCHAR",)
_FUNCTIONS: Mapping[str, _Function] = {
    "+": _arithmetic("+"),
    "-": _arithmetic("-"),
    "*": _arithmetic("*"),
    "/": _divided,
    "//": _whole_part("div"),
    "%": _whole_part("%"),
    "||": _joined,
    "~~": _like(False),
    "!~~": _like(True),
    "like_escape": _like(False),
    "not_like_escape": _like(True),
    "abs": _plain("abs", kinds=(*_BITS, *_FLOATS)),
    "chr": _sign,
    "coalesce": _first_known,
    "contains": _plain("contains", "BOOLEAN", _TEXT),
    "epoch": _epoch(1_000_000),
    "epoch_us": _epoch(1),
    "floor": _floored,
    "hash": _same_hash,
    "isfinite": _holds("finite"),
    "isinf": _holds("infinite"),
    "isnan": _holds("nan"),
    "length": _plain("char_length", "BIGINT", _TEXT),
    "ln": _plain("ln", "DOUBLE", _FLOATS),
    "nullif": _nullified,
    "regexp_full_match": _matched(r"\A(?:{})\z"),
    "regexp_matches": _matched("{}"),
    "strlen": _plain("octet_length", "BIGINT", _TEXT),
    "trunc": _truncated,
    "try_strptime": _parsed,
    "year": _plain("year", "BIGINT", _MOMENTS),
}
