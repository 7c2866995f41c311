"""How each expectation type is answered by DuckDB. Begin with :data:`COMPILERS`; what is not in it is Great
Expectations'."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from airflow_mlgov.gates.data_validation.compilers import numbers, several, tables, values
from airflow_mlgov.gates.data_validation.expectations import Expectation
from airflow_mlgov.gates.data_validation.query_plan import Finish, Plan

COMPILERS: Mapping[str, Callable[[Plan, Expectation], Finish]] = {
    **values.COMPILERS,
    **several.COMPILERS,
    **numbers.COMPILERS,
    **tables.COMPILERS,
}
