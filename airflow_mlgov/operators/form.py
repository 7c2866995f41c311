"""What every form in Airflow's Required Actions page has in common here: nobody but a person answers, a reason is
required, the answer is bound to what was shown, and it is signed at once.

No time-out and no default ever says yes; the ledger, not the task, remembers who has answered, so clearing the task
forgets nothing.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param

from airflow_mlgov.duty import requester
from airflow_mlgov.exposure import simple_auth_manager
from airflow_mlgov.operators._lineage import Flow, asked, model_named
from airflow_mlgov.operators._links import EvidenceLink, ModelLink
from airflow_mlgov.operators._of_duty import OfDuty
from airflow_mlgov.operators._telling import pages_of
from airflow_mlgov.operators.base import ModelRef, final, task_errors
from airflow_mlgov.words import line, lines

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_mlgov.evidence.statements import Person
    from airflow_mlgov.governance.policy import Contact
    from airflow_mlgov.release.case import Case


@dataclass(frozen=True)
class Form:
    """What people see, and who may answer."""

    subject: str
    body: str
    """Markdown."""
    digest: str
    """Binds an answer to what was shown: compared with a fresh computation when it comes."""
    people: frozenset[str]


@dataclass(frozen=True)
class PersonsAnswer:
    """What one person said."""

    who: Person
    approved: bool
    reason: str
    at: datetime


class FormOperator(OfDuty, ApprovalOperator):  # type: ignore[misc]  # Airflow hands it over untyped
    """Base of the operators that ask people. Retries twice, ten seconds apart, where nothing else is said: an answer
    within a second of asking can make Airflow fail the try, and the next asks again. A rejection is not retried.

    :param model: the version that it is about
    :param target: a target of the model in the governance policy
    :param response_timeout: after this the task fails, and the owners are told
    :param mlflow_conn_id: connection to the model registry; ``[mlgov] mlflow_conn_id`` if omitted
    """

    template_fields: Sequence[str] = ("model", "target", "subject", "body")
    operator_extra_links = (EvidenceLink(), ModelLink())
    ui_color = "#fff2cc"

    def __init__(
        self,
        *,
        model: ModelRef,
        target: str,
        response_timeout: timedelta | None = None,
        mlflow_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.pop("params", None)  # Airflow hands the DAG's parameters to every task; they are no part of this form
        for fixed in ("defaults", "body", "fail_on_reject"):
            if fixed in kwargs:
                raise ValueError(f"{fixed} may not be set: this form has no default answer and shows the evidence")
        kwargs = {
            **{"subject": "A model needs your answer", "retries": 2, "retry_delay": timedelta(seconds=10)},
            **kwargs,
        }
        super().__init__(
            body="",
            fail_on_reject=True,
            response_timeout=response_timeout,
            **kwargs,
        )
        self.model = model
        self.target = target
        self.mlflow_conn_id = mlflow_conn_id

    @abstractmethod
    def result(self, case: Case, context: Context) -> dict[str, Any] | None:
        """The XCom where enough people have answered already; None where more have to.

        Raises this package's errors, or :func:`~airflow_mlgov.operators.base.final` where there is nothing to ask.
        """

    @abstractmethod
    def form(self, case: Case, context: Context) -> Form:
        """What to show now."""

    @abstractmethod
    def sign(self, case: Case, answer: PersonsAnswer, context: Context) -> str | None:
        """Sign an answer into the ledger; its reference if it was one that ends the asking, by a person who may
        reject."""

    @abstractmethod
    def announce(self, case: Case, context: Context) -> None:
        """Tell people that they are asked."""

    def planned(self) -> Flow:
        """The model."""
        return Flow(model_named(self.model, self.governance))

    @property
    def deadline(self) -> str:
        """Until when an answer that is asked for now is waited for, in words; empty if there is no end."""
        if self.response_timeout is None:
            return ""
        return f"{datetime.now(UTC) + self.response_timeout:%Y-%m-%d %H:%M} UTC"

    def execute(self, context: Context) -> Any:
        """Show the evidence and ask; or go on at once where enough people have answered already."""
        from airflow_mlgov.notifications import whatever_happens

        with task_errors():
            case = self._case(context)
            self.require_own_worker(self.governance.policy, case.model.name)
            done = self.result(case, context)
            if done is None:  # nobody is asked for an answer that could not be signed
                duty = self.governance
                duty.trust.require_signer(duty.signer, duty.name, duty.evidence_context(context).issued_at)
        if done is None:
            with whatever_happens(self.log):
                self.announce(case, context)
            self._ask(context, case)
        return done

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Sign the answer; ask again while answers are missing; fail on a rejection or a time-out."""
        from airflow_mlgov.evidence.statements import Person
        from airflow_mlgov.notifications import whatever_happens

        if "error" in event:
            if event.get("error_type") != "timeout":  # before Airflow 3.3 a trigger checks the answer
                raise final(f"the answer cannot be taken: {event['error']}")
            with whatever_happens(self.log):
                self._say_that_nobody_answered(context)
            raise final("nobody answered in time; a time-out never approves")
        who = event.get("responded_by_user")
        if not who:
            raise final("no person answered; a default never approves")
        given = event.get("params_input") or {}
        reason = str(given.get("reason") or "").strip()
        with task_errors():
            case = self._case(context)
            stands = self.form(case, context).digest
        if given.get("evidence") != stands:
            raise final(
                f"the answer by {who['name']} was given on evidence {str(given.get('evidence'))[:12]}, but "
                f"{stands[:12]} stands now. Airflow keeps a task's first form: trigger a new run to ask again"
            )
        if not reason:
            self.log.warning("the answer by %s has no reason, so it does not count; asking again", line(who["name"]))
            self._ask(context, case)
        person = Person(str(who["id"]), str(who["name"]))
        answer = PersonsAnswer(person, event["chosen_options"] == [self.APPROVE], reason, event["responded_at"])
        with task_errors():
            ends = self.sign(case, answer, context)
            case = self._case(context)
            done = None if ends else self.result(case, context)
        if ends:
            raise final(  # without the reason: nobody can erase a line of Airflow's log
                f"rejected by {who['name']} ({ends})",
                f"  why is kept beside the ledger: mlgov ledger show {ends.removeprefix('ledger:')}",
            )
        if done is None:
            self._ask(context, case)
        return done

    def _case(self, context: Context) -> Case:
        from airflow_mlgov.release.case import build_case

        desk = self.governance.desk(context)
        version = desk.registry.resolve(self.model)
        self.pages = pages_of(version, desk.registry)
        case = build_case(desk, version, self.target, requester(context))
        self.flow = partial(asked, case, self.governance)
        return case

    def _ask(self, context: Context, case: Case) -> None:
        """Park the task; does not return."""
        form = self.form(case, context)
        self.subject, self.body = line(form.subject), form.body
        # not in __init__, for Airflow holds every parameter against JSON Schema each time a DAG file is parsed
        self.params["reason"] = Param("", type="string", description="Why? Required.")
        self.params["evidence"] = Param(
            form.digest, type="string", const=form.digest, description="What you were shown. Leave it as it is."
        )
        if not getattr(self, "assigned_users", None) and simple_auth_manager():
            self.assigned_users = [{"id": name, "name": name} for name in sorted(form.people)]
        super().execute(context)

    def _say_that_nobody_answered(self, context: Context) -> None:
        from airflow_mlgov.notifications import approval_page, notify
        from airflow_mlgov.registry.protocol import name_in

        policy = self.governance.required_policy()
        name = str(self.model["name"]) if isinstance(self.model, Mapping) else str(self.model)
        known = policy.models.get(name_in(name))
        body = f"Nobody answered {self.task_id} for {name} to {self.target!r} in time, so nothing was promoted."
        link = approval_page(context)
        notify(
            "approval_timed_out",
            f"[mlgov] {name}: nobody answered in time",
            lines([body, *([link] if link else [])]),
            owners=known.owners if known else (),
            context=context,
        )


def names_of(contacts: Sequence[Contact], owners: Sequence[str]) -> list[str]:
    """Whom a message that wants an answer goes to: those whose addresses the policy has, else the owners."""
    return [contact.email for contact in contacts if contact.email] or list(owners)


def owners_of(operator: FormOperator, case: Case) -> tuple[str, ...]:
    """Who is told about a model, from the policy."""
    return operator.governance.required_policy().model(case.model.name).owners
