"""``@task.gate``: a function that gives a table becomes a gate whose verdict on it is signed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from inspect import signature
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import determine_kwargs
from airflow.sdk.bases.decorator import DecoratedOperator, task_decorator_factory

from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.operators.base import GateOperator, made_init, task_errors

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.bases.decorator import TaskDecorator

    from airflow_mlgov.gates.protocol import Gate

_FROM_FUNCTION = ("data", "conn_id", "table", "query", "vault_database_role")


def gate_task(gate: str | None = None, /, **given: Any) -> TaskDecorator:
    """Make a gate of a function that returns the table to be judged: a pandas or Polars frame, the path or URL of
    files, or a list of rows, each a mapping::

        @task.gate("fairness", sensitive_features=["sex"])
        def predictions(model):
            return score(model, "s3://lake/test.parquet")

        predictions.expand(model=versions)

    The version that is judged is the operator argument ``model``, or else the function's own argument of this name,
    which can be mapped over. What it returns is judged where it is, and is no XCom; the XCom is that of a gate.

    :param gate: name of a gate that reads a table, such as ``performance``
    :param given: arguments of the gate's operator, but for where its data is, and of any operator
    """
    if not isinstance(gate, str):
        raise TypeError('@task.gate needs the name of a gate: @task.gate("performance")')
    return task_decorator_factory(decorated_operator_class=_class_for(gate), **given)


class FunctionGate(GateOperator):
    """A gate whose data a function gives."""

    python_callable: Callable[..., Any]
    op_args: Any
    op_kwargs: Any
    model: Any
    custom_operator_name = "@task.gate"

    def __init_subclass__(cls, gate: Gate[Any] | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(gate=gate, **kwargs)
        if gate is None:
            return
        kept = {name: item for name, item in cls.arguments.items() if name not in _FROM_FUNCTION}
        cls.arguments = {**kept, "model": replace(kept["model"], default=None)}
        mine = (name for name in cls.template_fields if name not in _FROM_FUNCTION)
        cls.template_fields = ("op_args", "op_kwargs", *mine)
        cls.__init__ = made_init(cls)  # type: ignore[method-assign]  # each class has a signature of its own

    def execute(self, context: Context) -> dict[str, Any]:
        """Call the function, and judge what it gives."""
        named = determine_kwargs(self.python_callable, self.op_args, {**context, **self.op_kwargs})
        if self.model is None:
            self.model = signature(self.python_callable).bind(*self.op_args, **named).arguments.get("model")
        given = self.python_callable(*self.op_args, **named)
        with task_errors():
            self.data = _as_table(given)
        return super().execute(context)

    def _require_one_source(self, *given: str | None) -> None:
        """The function gives it."""

    def _source(self, stack: Any) -> Any:  # noqa: ARG002
        from airflow_mlgov.hooks.object_store import stored

        return stored(self.data)


@cache
def _class_for(name: str) -> type[GateOperator]:
    """The decorated operator of a gate, under the name of the gate's own operator: whoever looks for gates finds it."""
    from airflow_mlgov import catalogue

    spec = catalogue.load(name)
    if not spec.reads:
        raise ConfigurationError(
            f"the gate {name!r} judges no table, so no function can give it one", code="gate.no_table"
        )
    operator = "".join(word.capitalize() for word in name.split("_"))
    body = {"__doc__": f"The gate {name} over what a function gives.", "__module__": __name__}
    return type(f"{operator}GateOperator", (DecoratedOperator, FunctionGate), body, gate=spec)


def _as_table(given: Any) -> Any:
    """Rows as a frame; whatever else is given, as it is.

    :raises ConfigurationError: nothing is given, or rows that are none
    """
    if given is None:
        raise ConfigurationError("the function gives nothing to judge: let it return a table", code="gate.no_table")
    if not isinstance(given, list):
        return given
    if not all(isinstance(row, dict) for row in given):
        raise ConfigurationError("a list of rows holds mappings, and nothing else", code="gate.no_table")
    import pandas as pd

    return pd.DataFrame(given)
