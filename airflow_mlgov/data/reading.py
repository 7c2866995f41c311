"""How csv files are read where a caller says so: types of columns, what stands for a missing value, delimiter,
encoding, signs of numbers, header. Refuses what can be taken two ways. Imports nothing heavy, because settings of
gates are made of it."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from airflow_mlgov.errors import ConfigurationError

NAMES = (
    "types", "missing_values", "delimiter", "encoding", "decimal", "thousands", "quote", "header", "skip_rows",
)  # fmt: skip
"""What may be said, by the names that policy, suite, operators and command line share."""

_WORDS = {
    "VARCHAR": "text string str object varchar char category",
    "BIGINT": "int64 int integer bigint long int32 int16 int8",
    "HUGEINT": "int128 hugeint",
    "DOUBLE": "float64 float double real float32 number numeric",
    "BOOLEAN": "boolean bool",
    "DATE": "date",
    "TIMESTAMP": "timestamp datetime datetime64",
    "TIME": "time",
}
"""DuckDB's type -> the words that mean it, whichever engine's they are."""
_BY_WORD = {word: stored for stored, words in _WORDS.items() for word in words.split()}
_DECIMAL = re.compile(r"decimal ?\( ?([1-9]|[12][0-9]|3[0-8]) ?, ?([0-9]|[12][0-9]|3[0-8]) ?\)")
_SPELT = {"\\t": "\t", "tab": "\t"}


def stored_type(word: str) -> str | None:
    """DuckDB's type that a word of a declaration means; None if it means none."""
    plain = word.strip().lower()
    if found := _DECIMAL.fullmatch(plain):
        return f"DECIMAL({found[1]},{found[2]})" if int(found[2]) <= int(found[1]) else None
    return _BY_WORD.get(plain.partition("[")[0])


def word_of(stored: str) -> str:
    """The word that declarations and evidence have for a type of DuckDB's."""
    return _WORDS[stored].split()[0] if stored in _WORDS else stored.lower()


class Reading(BaseModel):
    """How csv files are read. A file of another kind, a table and a frame have their own types, which ``types`` is held
    against."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    types: Mapping[str, str] = Field(default={}, description="csv column -> text, int64, float64 …")
    missing_values: tuple[str, ...] = Field(default=("",), description="what a csv field holds where there is no value")
    delimiter: str | None = Field(default=None, description="what separates the fields of a csv; a comma if omitted")
    encoding: str = Field(default="utf-8", description="of csv text")
    decimal: str = Field(default=".", description="decimal sign of csv numbers")
    thousands: str | None = Field(default=None, description="sign between thousands of csv numbers")
    quote: str = Field(default='"', description="what stands around a csv field; nothing if empty")
    header: bool | tuple[str, ...] = Field(
        default=True, description="whether a csv names its columns, or their names where it does not"
    )
    skip_rows: int = Field(default=0, ge=0, strict=True, description="lines of a csv before its header")

    @classmethod
    def of(cls, given: Mapping[str, Any], where: str) -> Self:
        """What somebody says, by name; what is None or no name of a reading is left out.

        :param where: who says it, for messages
        :raises ConfigurationError: a value is not what it should be
        """
        said = {name: given[name] for name in NAMES if given.get(name) is not None}
        try:
            return cls.model_validate(said) if said else cls.model_construct()
        except ValidationError as error:
            problem = error.errors()[0]
            name = ".".join(map(str, problem["loc"])) or "the reading"
            said_so = str(problem["msg"]).removeprefix("Value error, ").removeprefix("Input ")
            raise ConfigurationError(f"{where}: {name} {said_so}", code="setting.wrong") from None

    @field_validator("types")
    @classmethod
    def _known(cls, types: Mapping[str, str]) -> Mapping[str, str]:
        for column, word in types.items():
            if stored_type(word) is None:
                raise ValueError(
                    f"says that {column} is {word!r}, which is no type: text, int64, float64, boolean, date, "
                    "timestamp, time or decimal(18,2)"
                )
        return types

    @field_validator("delimiter", "decimal", "thousands", mode="after")
    @classmethod
    def _one_sign(cls, sign: str | None) -> str | None:
        sign = _SPELT.get(sign, sign) if sign is not None else None
        if sign is not None and (len(sign) != 1 or sign in "\r\n"):
            raise ValueError(f"must be one sign, not {sign!r}")
        return sign

    @field_validator("quote")
    @classmethod
    def _at_most_one_sign(cls, sign: str) -> str:
        if len(sign) > 1 or sign in ("\r", "\n"):
            raise ValueError(f"must be one sign, or nothing, not {sign!r}")
        return sign

    @field_validator("encoding")
    @classmethod
    def _encoding(cls, name: str) -> str:
        try:
            return codecs.lookup(name).name
        except LookupError:
            raise ValueError(f"must be a known encoding such as utf-8 or cp1252, not {name!r}") from None

    @model_validator(mode="after")
    def _apart(self) -> Self:
        signs = [sign for sign in (self.delimiter or ",", self.decimal, self.thousands, self.quote) if sign]
        if self.delimiter is None:
            signs = signs[1:]
        if len(set(signs)) < len(signs):
            raise ValueError("delimiter, decimal, thousands and quote must be different signs")
        return self

    @property
    def stored_types(self) -> dict[str, str]:
        """Column -> DuckDB's type, of those that are declared."""
        return {name: str(stored_type(word)) for name, word in self.types.items()}

    @property
    def said(self) -> dict[str, Any]:
        """What differs from the defaults, for evidence."""
        if not self.model_fields_set:
            return {}
        return {name: value for name, value in self.model_dump(mode="json").items() if name in self.model_fields_set}


PLAIN = Reading.model_construct()
"""Nothing is declared."""
