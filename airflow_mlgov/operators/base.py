"""The life of a gate: resolve the subject, evaluate, sign and append, tag the version, push a small XCom, conclude.

The verdict is signed before the task is allowed to fail. The operator of a gate is its name on a class: arguments,
their documentation and their checks are made from the gate's settings.
"""

from __future__ import annotations

import inspect
import logging
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, BaseOperator

from airflow_mlgov.assets import tell_verdict, with_outlet
from airflow_mlgov.configuration import option
from airflow_mlgov.duty import Duty
from airflow_mlgov.errors import ConfigurationError, DependencyError, MlgovError, told
from airflow_mlgov.hooks.object_store import stored
from airflow_mlgov.hooks.warehouse import require_one_baseline, require_one_source, source_at
from airflow_mlgov.operators._arguments import arguments_of, described, settings_of
from airflow_mlgov.operators._lineage import Flow, data_named, judged, model_named, rows_named
from airflow_mlgov.operators._links import EvidenceLink, ModelLink, ReportLink, story_tag
from airflow_mlgov.operators._of_duty import OfDuty
from airflow_mlgov.operators._telling import (
    count,
    keep_reports,
    log_checks,
    pages_of,
    seal_reports,
    timed,
    told_how_far,
    values_of,
)
from airflow_mlgov.results import GateResult, Outcome
from airflow_mlgov.words import line, lines

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_mlgov.evidence.chain import Entry
    from airflow_mlgov.gates.protocol import Gate
    from airflow_mlgov.governance.policy import ModelPolicy
    from airflow_mlgov.operators._arguments import Argument
    from airflow_mlgov.registry.mlflow_registry import MlflowRegistry
    from airflow_mlgov.registry.protocol import ModelVersion
    from airflow_mlgov.release.champion_data import RegistryLookup

_BASELINES = ("baseline_table", "baseline_query")
_LOG = logging.getLogger("airflow.task")

ModelRef = str | Mapping[str, Any]
"""``models:/name/7``, ``models:/name@alias``, or the XCom of ``RegisterModelOperator``. It only names the subject."""


def final(*said: Any) -> AirflowFailException:
    """The failure of a task that is not tried again, a line for each part; what a part quotes cannot make it two."""
    return AirflowFailException(lines(said))


def several(said: Any) -> list[Any]:
    """A list; of one thing, where that stands in its place, as it does if a template holds it."""
    return [said] if isinstance(said, str | Mapping) else list(said)


@contextmanager
def task_errors() -> Iterator[None]:
    """Turn what goes wrong into Airflow's errors: retryable where a dependency is down, final otherwise. What nobody
    expected is a mistake of ours, and no outage."""
    try:
        yield
    except AirflowException:
        raise
    except Exception as error:
        said = told(error)
        _LOG.debug("the task ends", exc_info=error)
        raise (AirflowException if isinstance(said, DependencyError) else AirflowFailException)(said.coded) from None


class BaseGateOperator(OfDuty, BaseOperator):  # type: ignore[misc]  # Airflow hands it over untyped
    """Base of every gate.

    :param on_fail: ``fail`` (default): anything but PASS fails the task, without retries. ``record``: the task
        succeeds whatever the verdict; the evidence says what it was, the owners are told, and promotion still refuses
    :param purpose: ``gate`` (default), or ``what_if``: the result is signed and counted as a try, and makes no decision
        better; where its values fail the policy it denies as any result does, and a bound that only the DAG has made
        stricter counts for nothing
    :param mlflow_conn_id: connection to the model registry; ``[mlgov] mlflow_conn_id`` where None
    """

    gate: ClassVar[str]
    """The gate's name, which is its duty's."""
    operator_extra_links = (EvidenceLink(), ModelLink(), ReportLink())
    ui_color = "#dbe9f6"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.duty = getattr(cls, "gate", "")

    def __init__(
        self,
        *,
        on_fail: Literal["fail", "record"] = "fail",
        purpose: Literal["gate", "what_if"] = "gate",
        mlflow_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**with_outlet(kwargs))
        if on_fail not in ("fail", "record"):
            raise ValueError(f"on_fail must be 'fail' or 'record', not {on_fail!r}")
        if purpose not in ("gate", "what_if"):
            raise ValueError(f"purpose must be 'gate' or 'what_if', not {purpose!r}")
        self.on_fail = on_fail
        self.purpose = purpose
        self.mlflow_conn_id = mlflow_conn_id

    @abstractmethod
    def evaluate(self) -> GateResult:
        """Judge the subject. Raises this package's errors for what could not be judged."""

    @cached_property
    def governance(self) -> Duty:
        """What ``[mlgov]`` says, under this gate's duty."""
        return Duty(self.duty, self.mlflow_conn_id)

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the gate; return its XCom, or fail with the checks that are not green."""
        with task_errors():
            with timed("mlgov.gate.duration", gate=self.gate), told_how_far(f"the gate {self.gate} is at work"):
                result = self.evaluate()
            if self.purpose == "what_if":
                result = replace(result, purpose="what_if")
            entry = self._sign(result, context)
            said = {"query": getattr(self, "query", None), "purpose": result.purpose}
            self.flow = partial(judged, [result], [entry.reference], self.governance, **said)
            if result.purpose == "gate":
                self.tag(result, entry)
        count("mlgov.gate.verdict", gate=result.gate, verdict=str(result.verdict))
        self._tell(result, entry)
        xcom = self._xcom(result, entry)
        if result.verdict is Outcome.PASS:
            tell_verdict(context, result, entry.reference, self.mlflow_conn_id)
            return xcom
        self._notify(result, entry, context)
        if self.on_fail == "record":
            _LOG.warning(
                "%s, which is recorded and stops nothing here", line(f"the gate {self.gate} says {result.verdict}")
            )
            tell_verdict(context, result, entry.reference, self.mlflow_conn_id)
            return xcom
        context["ti"].xcom_push(key="return_value", value=xcom)
        raise final(*result.summary().split("\n"), f"  evidence: {entry.reference}")

    def tag(self, result: GateResult, entry: Entry) -> None:
        """Leave a readable trace in the registry; gates over a model do, others have nothing to tag."""

    def _tell(self, result: GateResult, entry: Entry) -> None:
        """The checks into the log; where the evidence is into the reports."""
        said = f"gate {result.gate}: {result.verdict} on {result.subject} ({entry.reference})"
        if result.verdict is Outcome.PASS:
            self.log.info("%s", line(said))
        else:
            self.log.warning("%s", line(said))
        log_checks(result)
        seal_reports(result, entry, self.governance)
        for title, path in result.reports.items():
            self.log.info("%s: %s", line(title), line(path))

    def _sign(self, result: GateResult, context: Context) -> Entry:
        from airflow_mlgov.evidence.statements import GateStatement

        governance = self.governance
        statement = GateStatement.of(result, governance.evidence_context(context))
        return governance.ledger.attest(statement, governance.signer)

    def _xcom(self, result: GateResult, entry: Entry) -> dict[str, Any]:
        subject = result.subject
        return {
            "gate": result.gate,
            "verdict": str(result.verdict),
            "subject": f"models:/{subject.name}/{subject.version}" if subject.kind == "model" else subject.name,
            "evidence": {"seq": entry.seq, "sha256": entry.envelope_sha256},
            "metrics": values_of(result),
            "failed": [str(check) for check in result.failed],
        }

    def _notify(self, result: GateResult, entry: Entry, context: Context) -> None:
        """Tell the owners, in the log and through the notifiers; whatever goes wrong with it, the verdict stands."""
        from airflow_mlgov.notifications import notify, page_of, whatever_happens
        from airflow_mlgov.notifications.words import render_gate_failed

        with whatever_happens(self.log):
            policy = self.governance.policy
            known = policy.models.get(result.subject.name) if policy and result.subject.kind == "model" else None
            owners = known.owners if known else ()
            subject, body = render_gate_failed(result, owners=owners, evidence=entry.reference, link=page_of(context))
            notify("gate_failed", subject, body, owners=owners, context=context)


class GateOperator(BaseGateOperator):
    """Base of the operators that run a gate of the catalogue. A subclass names the gate and gets its arguments::

        class ToxicityGateOperator(GateOperator, gate=TOXICITY):
            ...

    What the governance policy says of a gate needs not be said here; what it leaves open may be. Everything that is
    given is a template.
    """

    spec: ClassVar[Gate[Any]]
    arguments: ClassVar[Mapping[str, Argument]]
    """By name: what every gate of its kind is given, and its own settings."""

    def __init_subclass__(cls, gate: Gate[Any] | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if gate is None:
            return
        common, own = arguments_of(gate), tuple(settings_of(gate))
        cls.gate, cls.duty, cls.spec = gate.name, gate.name, gate
        _refuse_clashes(gate, {argument.name for argument in common})
        cls.arguments = {argument.name: argument for argument in (*common, *own)}
        cls.template_fields = (*(argument.name for argument in common if argument.templated), "settings")
        cls.__doc__ = f"{(cls.__doc__ or gate.__doc__ or '').rstrip()}\n\n{described(cls.arguments)}    "
        cls.__init__ = made_init(cls)  # type: ignore[method-assign]  # each class has a signature of its own

    def __init__(self, **kwargs: Any) -> None:
        settings = self.spec.Settings.model_fields
        given = {name: kwargs.pop(name) for name in self.arguments if name in kwargs}
        super().__init__(**kwargs)
        for name, argument in self.arguments.items():
            if name not in settings:
                setattr(self, name, given.get(name, argument.default))
        self.settings = {name: given[name] for name in settings if given.get(name) is not None}
        if self.spec.reads:
            self._require_one_source(*(given.get(name) for name in ("data", "conn_id", "table", "query")))
        if self.spec.compares:
            require_one_baseline(*(given.get(name) for name in ("baseline", "conn_id", *_BASELINES)))
        whole = self.spec.about == "model" or given.get("model") is None
        self.spec.Settings.refuse(self.settings, type(self).__name__, _is_known_later, whole)

    @cached_property
    def registry(self) -> MlflowRegistry:
        """The model registry, with this gate's own identity."""
        return self.governance.mlflow.registry()

    @cached_property
    def version(self) -> ModelVersion | None:
        """The version that is judged, as the registry has it now; None of a gate over data."""
        named = self.spec.about == "model" or (self.spec.about == "pipeline" and self.model)
        return self.registry.resolve(self.model) if named else None

    @property
    def policy(self) -> ModelPolicy | None:
        """What the policy says of the model that is judged, or that the data is for.

        :raises ConfigurationError: the policy does not govern it
        """
        name = self.version.name if self.version else self._model_name
        policy = self.governance.policy
        return policy.model(name) if policy and name else None

    def planned(self) -> Flow:
        """The data and the model that it is given."""
        named = [getattr(self, name, None) for name in ("data", "baseline", "conn_id", "table", "query")]
        data, baseline, conn_id, table, query = named
        rows = rows_named(conn_id, table, query, data) if conn_id else data_named([data])
        model = model_named(self.model, self.governance) if getattr(self, "model", None) else ()
        return Flow((*model, *rows, *data_named([baseline])), query=query)

    def evaluate(self) -> GateResult:
        """Run the gate, with credentials that live no longer than it does."""
        from airflow_mlgov.gates.protocol import Elsewhere
        from airflow_mlgov.gates.run import run_gate
        from airflow_mlgov.gates.strictness import held_to, limits_of
        from airflow_mlgov.governance.rulebook import Packs

        self.require_own_worker(self.governance.policy, self.policy.name if self.policy else None)
        given = {name: value for name, value in self.settings.items() if value != ""}
        settings, bounds = held_to(self.spec, self.policy, given, getattr(self, "bounds", None) or {}, "the DAG")
        ceiling = {"memory_limit": option("memory_limit"), "time_limit": option("time_limit")}
        version = self.version
        subject = self.registry.subject(version) if version else None
        with ExitStack() as stack:
            return run_gate(
                self.spec,
                self._source(stack),
                settings,
                bounds,
                subject=subject,
                baseline=self._baseline(stack),
                lookup=self._lookup() if self.spec.needs_lookup(settings) else None,
                artifact=partial(self.registry.download, version, subject.digest) if version and subject else None,
                elsewhere=Elsewhere(lambda: self.registry, version.source if version else None),
                rulebook=Packs(lambda: self.governance.engine),
                report_dir=self.report_dir or None,
                **limits_of(settings, ceiling, "[mlgov]"),
            )

    def _tell(self, result: GateResult, entry: Entry) -> None:
        """As any gate; and the reports of a version are kept beside its run."""
        super()._tell(result, entry)
        if self.version is not None:
            report = keep_reports(result, self.version, self.registry)
            self.pages = {**pages_of(self.version, self.registry), **({"report": report} if report else {})}

    def tag(self, result: GateResult, entry: Entry) -> None:
        """Write verdict, failed checks, evidence and the story's address on the version: for people."""
        if self.version is None:
            return
        tags = {f"mlgov.{self.gate}": str(result.verdict), f"mlgov.{self.gate}.evidence": entry.reference}
        tags |= story_tag(self.version)
        if result.verdict is not Outcome.PASS:
            tags["mlgov.status"] = f"stopped by {self.gate}: {result.verdict}"
            tags[f"mlgov.{self.gate}.failed"] = "; ".join(str(check) for check in result.failed)[:4000]
        try:
            self.registry.set_tags(self.version, tags)
        except MlgovError as error:
            self.log.warning("the version was not tagged: %s", line(error))

    def _require_one_source(self, *given: str | None) -> None:
        given_settings = ((name, self.settings.get(name)) for name in self.spec.names_data)
        named = [name for name, value in given_settings if self.spec.names_its_data(name, value)]
        if not named:
            require_one_source(*given)
        elif any(item is not None for item in given):
            raise ValueError(f"{named[0]}= names the data: give no other")

    def _source(self, stack: ExitStack) -> Any:
        """The data, as the gate is given it; None of a gate that reads none."""
        if not self.spec.reads or self.conn_id is None:
            return stored(getattr(self, "data", None))
        named = (self.data, self.table, self.query)
        return source_at(self.conn_id, *named, self.vault_database_role, self.gate, stack)

    def _baseline(self, stack: ExitStack) -> Any:
        """The champion's rows; None if none are named."""
        table, query = (getattr(self, name, None) or None for name in _BASELINES)
        if table is None and query is None:
            return stored(getattr(self, "baseline", None) or None)
        return source_at(str(self.conn_id), None, table, query, self.vault_database_role, self.gate, stack)

    @property
    def _model_name(self) -> str | None:
        """Of the model that the data is for, also where a version of it is named."""
        from airflow_mlgov.registry.protocol import name_in

        return name_in(self.model) if isinstance(self.model, str) and self.model else None

    def _lookup(self) -> RegistryLookup | None:
        """The registry and the ledger; None if no model is named."""
        from airflow_mlgov.release.champion_data import RegistryLookup

        name = self._model_name
        if name is None:
            return None
        governance = self.governance
        return RegistryLookup(
            registry=self.registry,
            records=governance.records,
            trust=governance.trust,
            environment=governance.environment,
            model=name,
            goal=governance.required_policy().model(name).target(self.target),
            elsewhere=governance.elsewhere,
        )


def _refuse_clashes(gate: Gate[Any], taken: Collection[str]) -> None:
    """Refuse a setting whose name is another argument's already, of every gate or of every operator."""
    airflow = inspect.signature(BaseOperator.__init__).parameters
    for name in gate.Settings.model_fields:
        if name in taken or name in airflow:
            raise ConfigurationError(
                f"the gate {gate.name} cannot have a setting {name!r}: every operator of a gate has such an argument",
                code="gate.argument",
            )


def made_init(cls: type[GateOperator]) -> Callable[..., None]:
    """An ``__init__`` whose signature has the gate's arguments; Airflow reads it for ``default_args`` and mapping."""

    def __init__(self: GateOperator, **kwargs: Any) -> None:
        super(cls, self).__init__(**kwargs)

    me = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    others = inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD, annotation=Any)
    given = [argument.as_parameter() for argument in cls.arguments.values()]
    __init__.__signature__ = inspect.Signature([me, *given, others])  # type: ignore[attr-defined]
    return __init__


def _is_known_later(value: Any) -> bool:
    """Whether a value is a template, another task's result, or holds one."""
    if isinstance(value, str):
        return "{{" in value or "{%" in value
    if isinstance(value, Mapping):
        return any(map(_is_known_later, value.values()))
    if isinstance(value, list | tuple | set):
        return any(map(_is_known_later, value))
    return not isinstance(value, int | float | None)
