"""The life of a gate: resolve the subject, evaluate, sign and append, tag the version, push a small XCom, conclude.

A new gate is one subclass that says how to evaluate. The verdict is signed before the task is allowed to fail.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, BaseOperator

from airflow_mlgov.duty import Duty
from airflow_mlgov.errors import DependencyError, MlgovError
from airflow_mlgov.results import GateResult, Outcome

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_mlgov.evidence.chain import Entry
    from airflow_mlgov.gates.bounds import MetricBound
    from airflow_mlgov.registry.mlflow_registry import MlflowRegistry
    from airflow_mlgov.registry.protocol import ModelVersion

ModelRef = str | Mapping[str, Any]
"""``models:/name/7``, ``models:/name@alias``, or the XCom of ``RegisterModelOperator``. It only names the subject."""


@contextmanager
def task_errors() -> Iterator[None]:
    """Turn this package's errors into Airflow's: retryable where a dependency is down, final otherwise."""
    try:
        yield
    except DependencyError as error:
        raise AirflowException(str(error)) from None
    except MlgovError as error:
        raise AirflowFailException(str(error)) from None


class BaseGateOperator(BaseOperator):  # type: ignore[misc]  # Airflow hands it over untyped
    """Base of every gate.

    :param on_fail: ``fail`` (default): anything but PASS fails the task, without retries. ``record``: the task
        succeeds whatever the verdict; the evidence says what it was, and promotion still refuses
    :param mlflow_conn_id: connection to the model registry; ``[mlgov] mlflow_conn_id`` where None
    """

    gate: ClassVar[str]
    ui_color = "#dbe9f6"

    def __init__(
        self, *, on_fail: Literal["fail", "record"] = "fail", mlflow_conn_id: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if on_fail not in ("fail", "record"):
            raise ValueError(f"on_fail must be 'fail' or 'record', not {on_fail!r}")
        self.on_fail = on_fail
        self.mlflow_conn_id = mlflow_conn_id

    @abstractmethod
    def evaluate(self) -> GateResult:
        """Judge the subject. Raises this package's errors for what could not be judged."""

    @cached_property
    def governance(self) -> Duty:
        """What ``[mlgov]`` says, under this gate's duty."""
        return Duty(self.gate, self.mlflow_conn_id)

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the gate; return its XCom, or fail with the checks that are not green."""
        with task_errors():
            result = self.evaluate()
            entry = self._sign(result, context)
            self.tag(result, entry)
        xcom = self._xcom(result, entry)
        self.log.info("%s (%s)", result.summary(), entry.reference)
        for title, path in result.reports.items():
            self.log.info("%s: %s", title, path)
        if result.verdict is Outcome.PASS or self.on_fail == "record":
            return xcom
        context["ti"].xcom_push(key="return_value", value=xcom)
        self._notify(result, entry, context)
        raise AirflowFailException(f"{result.summary()}\n  evidence: {entry.reference}")

    def tag(self, result: GateResult, entry: Entry) -> None:
        """Leave a readable trace in the registry; gates over a model do, others have nothing to tag."""

    def _sign(self, result: GateResult, context: Context) -> Entry:
        from airflow_mlgov.evidence.statements import gate_statement

        governance = self.governance
        statement = gate_statement(result, governance.evidence_context(context))
        return governance.ledger.attest(statement, governance.signer)

    def _xcom(self, result: GateResult, entry: Entry) -> dict[str, Any]:
        subject = result.subject
        return {
            "gate": result.gate,
            "verdict": str(result.verdict),
            "subject": f"models:/{subject.name}/{subject.version}" if subject.kind == "model" else subject.name,
            "evidence": {"seq": entry.seq, "sha256": entry.envelope_sha256},
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


class ModelGateOperator(BaseGateOperator):
    """Base of the gates that judge a model version.

    :param model: the version, see :data:`ModelRef`
    :param data: path of the table that it is judged on
    :param bounds: metric -> ``{min, max}``; may tighten the governance policy, never loosen it
    """

    template_fields: Sequence[str] = ("model", "data", "bounds")

    def __init__(
        self, *, model: ModelRef, data: str, bounds: Mapping[str, Mapping[str, Any]] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.data = data
        self.bounds = bounds

    @cached_property
    def registry(self) -> MlflowRegistry:
        """The model registry, with this gate's own identity."""
        return self.governance.mlflow.registry()

    @cached_property
    def version(self) -> ModelVersion:
        """The version that is judged, as the registry has it now."""
        return self.registry.resolve(self.model)

    @cached_property
    def rules(self) -> tuple[dict[str, Any], tuple[MetricBound, ...]]:
        """The policy's settings and its bounds, tightened by the DAG's.

        :raises ConfigurationError: a looser bound, an unknown metric, or no bound at all
        """
        from airflow_mlgov.gates.rules import gate_rules

        policy = self.governance.policy
        return gate_rules(self.gate, policy.model(self.version.name) if policy else None, self.bounds or {}, "the DAG")

    def settings(self, **given: Any) -> dict[str, Any]:
        """The gate's settings: the policy's, and the DAG's where the policy is silent.

        :raises ConfigurationError: the two say different things
        """
        from airflow_mlgov.gates.rules import merge_settings

        policy = self.governance.policy
        governed = policy is not None and bool(policy.model(self.version.name).bounds(self.gate))
        return merge_settings(self.rules[0], given, self.gate if governed else None)

    def tag(self, result: GateResult, entry: Entry) -> None:
        """Write verdict, first failed check and evidence reference on the version: for people, never for decisions."""
        tags = {f"mlgov.{self.gate}": str(result.verdict), f"mlgov.{self.gate}.evidence": entry.reference}
        if result.verdict is not Outcome.PASS:
            tags["mlgov.status"] = f"stopped by {self.gate}: {result.verdict}"
            tags[f"mlgov.{self.gate}.failed"] = "; ".join(str(check) for check in result.failed)[:4000]
        try:
            self.registry.set_tags(self.version, tags)
        except MlgovError as error:
            self.log.warning("the version was not tagged: %s", error)
