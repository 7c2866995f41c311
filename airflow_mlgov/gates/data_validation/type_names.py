"""What a name of a type means, whichever engine it is of: pandas, NumPy, Arrow, Spark, SQL, DuckDB. Refuses a name that
it does not know."""

from __future__ import annotations

import re
from collections.abc import Mapping

from airflow_mlgov.data.relation import ColumnKind
from airflow_mlgov.gates.data_validation.columns import Column

_I, _D, _F, _T = ColumnKind.INTEGER, ColumnKind.DECIMAL, ColumnKind.FLOAT, ColumnKind.TEXT
_B, _DAY, _TS = ColumnKind.BOOLEAN, ColumnKind.DATE, ColumnKind.TIMESTAMP
_TIME, _SPAN, _RAW, _NEST = ColumnKind.TIME, ColumnKind.INTERVAL, ColumnKind.BINARY, ColumnKind.NESTED

_KINDS: Mapping[ColumnKind, str] = {
    _I: "int int_ integer number bigint smallint tinyint mediumint hugeint ubigint uinteger usmallint utinyint long"
    " short byte int2 int4 int8 int16 int32 int64 uint8 uint16 uint32 uint64 integertype longtype shorttype bytetype"
    " serial bigserial byteint uint uhugeint big_integer biginteger smallinteger small_integer",
    _D: "decimal numeric number decimaltype decimal128 decimal256",
    _F: "float float_ double double_precision doubleprecision real float4 float16 float32 float64 halffloat doubletype"
    " floattype number",
    _T: "str string str_ object text char character varchar nvarchar nchar bpchar unicode unicode_ stringtype clob"
    " large_string string_ character_varying large_utf8 utf8 varchar2 uuid ntext tinytext mediumtext longtext enum"
    " category string_view chartype varchartype",
    _B: "bool bool_ boolean booleantype bit",
    _DAY: "date date32 date64 datetype object",
    _TS: "datetime datetime64 timestamp timestamptz timestamp_tz timestamp_ntz timestamp_ltz timestamptype"
    " timestampntztype timestamp_without_time_zone timestamp_with_time_zone datetime2 smalldatetime datetimetz"
    " timestamp_s timestamp_ms timestamp_us timestamp_ns datetimeoffset datetime_",
    _TIME: "time time32 time64 timetz object",
    _SPAN: "timedelta timedelta64 interval duration timedeltatype",
    _RAW: "bytes binary varbinary blob bytea binarytype large_binary object bytes_",
    _NEST: "list array struct map dict record json jsonb variant arraytype maptype structtype large_list object",
}
_SIZES: Mapping[str, str] = {
    "int8": "TINYINT", "tinyint": "TINYINT", "bytetype": "TINYINT",
    "int16": "SMALLINT", "smallint": "SMALLINT", "shorttype": "SMALLINT", "int2": "SMALLINT",
    "int32": "INTEGER", "int4": "INTEGER", "integertype": "INTEGER",
    "int64": "BIGINT", "bigint": "BIGINT", "longtype": "BIGINT", "long": "BIGINT",
    "uint8": "UTINYINT", "uint16": "USMALLINT", "uint32": "UINTEGER", "uint64": "UBIGINT",
    "float32": "FLOAT", "float4": "FLOAT", "real": "FLOAT",
    "float64": "DOUBLE", "double": "DOUBLE", "doubletype": "DOUBLE", "double_precision": "DOUBLE",
}  # fmt: skip
"""Names that also say how large: held to where the file says so too."""
_OF_OBJECTS = (ColumnKind.DECIMAL, ColumnKind.BOOLEAN)
"""What pandas holds as objects beside texts (a column of truth values only where some are missing)."""


def is_known(name: str) -> bool:
    """Whether it names a type of any engine."""
    plain = _plain(name)
    return any(plain in words.split() for words in _KINDS.values())


def is_of_type(column: Column, name: str, *, missing: bool) -> bool:
    """Whether the column is of what the name means.

    :param missing: whether some of its values are missing
    """
    plain = _plain(name)
    if plain == "object" and column.kind in _OF_OBJECTS:
        return column.kind is ColumnKind.DECIMAL or missing
    if column.written and plain == "float64" and column.kind is ColumnKind.INTEGER and missing:
        return True  # what pandas makes of whole numbers of which some are missing
    if plain not in _KINDS.get(column.kind, "").split():
        return False
    if column.written or plain not in _SIZES:
        return True
    return column.stored == _SIZES[plain]


def _plain(name: str) -> str:
    """``VARCHAR(20)`` is ``varchar``, ``datetime64[ns, UTC]`` is ``datetime64``, ``pd.Int64Dtype()`` is ``int64``."""
    word = re.sub(r"[\[(<].*", "", name.strip())
    word = word.rpartition(".")[2].lower().strip()
    word = word.removesuffix("dtype") if word != "dtype" else word
    return re.sub(r"\s+", "_", word)
