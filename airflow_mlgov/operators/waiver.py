"""A time-bound exception: people sign, in Airflow's Required Actions page, for one failed check of one model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_mlgov.duty import requester
from airflow_mlgov.operators.base import ModelRef
from airflow_mlgov.operators.form import Form, FormOperator, PersonsAnswer, names_of, owners_of
from airflow_mlgov.words import line, markdown

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_mlgov.evidence.statements import Terms
    from airflow_mlgov.release.case import Case


class RequestWaiverOperator(FormOperator):
    """Ask the people whom the policy's ``waivers`` name to sign for one failed check, up to a bound and a date.

    A waived check is never passed: the decision reports it, promotion brings an audit that is owed, and a worse value,
    another digest or another check is refused. Rejecting fails the task and takes the terms off the table. Neither the
    trainer nor whoever triggered the run may sign.

    :param model: the version
    :param target: the target that the check is waived for
    :param gate: the gate that failed
    :param check: the one check, such as ``demographic_parity_ratio[race]``
    :param stretch: ``{"min": 0.7}`` and/or ``max``: how far its bound is stretched
    :param reason: why it should go all the same
    :param ticket: where it is discussed
    :param risk_owner: who answers for the risk
    :param data: of a gate over data, the data set whose check failed, by its name or SHA-256; may be omitted if there
        is one alone
    :param lifetime: how long, from the run's start; the policy's ``max_days`` at most
    :param response_timeout: after this the task fails
    :param mlflow_conn_id: connection to the model registry; ``[mlgov] mlflow_conn_id`` if omitted
    """

    duty = "waiver"
    template_fields: Sequence[str] = (
        *("model", "target", "gate", "check", "stretch", "reason", "ticket", "risk_owner", "data", "subject", "body"),
    )

    def __init__(
        self,
        *,
        model: ModelRef,
        target: str,
        gate: str,
        check: str,
        stretch: Mapping[str, float],
        reason: str,
        ticket: str,
        risk_owner: str,
        data: str | None = None,
        lifetime: timedelta = timedelta(days=14),
        **kwargs: Any,
    ) -> None:
        super().__init__(model=model, target=target, **kwargs)
        self.data = data
        self.gate = gate
        self.check = check
        self.stretch = stretch
        self.reason = reason
        self.ticket = ticket
        self.risk_owner = risk_owner
        self.lifetime = lifetime

    def result(self, case: Case, context: Context) -> dict[str, Any] | None:
        """The waiver, once enough people have signed it."""
        from airflow_mlgov.release.waivers import signers_of

        terms = self._terms(case, context)
        signers = signers_of(case, terms)
        if case.goal.waivers is None or len(signers) < case.goal.waivers.signers:
            return None
        return {"waiver": terms.sha256, "signers": signers, "expires": terms.expires, "check": terms.check}

    def form(self, case: Case, context: Context) -> Form:
        """The terms, beside the evidence."""
        from airflow_mlgov.operators.approval import links_of
        from airflow_mlgov.release.approvals import render_case, shown_digest

        terms, limits = self._terms(case, context), case.goal.waivers
        people = limits.people if limits else frozenset()
        body = render_terms(terms, limits.signers if limits else 0, people)
        return Form(
            f"Waive {terms.check} for {case.model.name} version {case.model.version}?",
            f"{body}\n\n{render_case(case, deadline=self.deadline, links=links_of(case))}",
            _bound(terms, shown_digest(case)),
            people,
        )

    def sign(self, case: Case, answer: PersonsAnswer, context: Context) -> str | None:
        """Sign the terms, or take them off the table; somebody who may do neither is asked no further."""
        from airflow_mlgov.release.waivers import revoke_waiver, sign_waiver, why_not

        terms = self._terms(case, context)
        problem = why_not(case, terms, answer.who)
        if problem:
            self.log.warning("the answer does not count: %s", line(problem))
            return None
        act = sign_waiver if answer.approved else revoke_waiver
        entry = act(self.governance.desk(context), case, terms, answer.who, answer.reason)
        self.log.info("%s", line(f"waiver {act.__name__} by {answer.who.name} ({entry.reference})"))
        return None if answer.approved else entry.reference

    def announce(self, case: Case, context: Context) -> None:
        """Tell those who may sign it that a waiver is wanted."""
        from airflow_mlgov.notifications import approval_page, notify
        from airflow_mlgov.notifications.words import render_waiver_wanted

        owners, terms = owners_of(self, case), self._terms(case, context)
        people = sorted(case.goal.waivers.people) if case.goal.waivers else []
        contacts = self.governance.required_policy().contacts(people)
        subject, body = render_waiver_wanted(
            str(case.model),
            terms.in_words(),
            told=names_of(contacts, owners),
            signers=people,
            link=approval_page(context),
            deadline=self.deadline,
        )
        given: dict[str, Any] = {"owners": owners, "approvers": contacts, "deadline": self.deadline}
        notify("waiver_wanted", subject, body, context=context, **given)

    def _terms(self, case: Case, context: Context) -> Terms:
        """The terms that this run asks for; those that somebody has signed, where nothing but the end differs."""
        from airflow_mlgov.release.waivers import draft_terms, same_but_for_the_end

        wanted = draft_terms(
            case,
            gate=self.gate,
            check=self.check,
            stretch=self.stretch,
            reason=self.reason,
            ticket=self.ticket,
            risk_owner=self.risk_owner,
            requesters=requester(context),
            lifetime=self.lifetime,
            data=self.data,
            now=context["dag_run"].run_after,  # the same in every try of a run
        )
        return same_but_for_the_end(case, wanted) or wanted


def render_terms(terms: Terms, needed: int, people: frozenset[str]) -> str:
    """The Markdown that a signer reads first."""
    bound = " and ".join(f"{sign} {end:g}" for sign, end in ((">=", terms.min), ("<=", terms.max)) if end is not None)
    return "\n".join(
        [
            f"**{markdown(terms.check)}** of the gate **{markdown(terms.gate)}** is **{terms.observed:g}** and failed. "
            f"The waiver lets it go to **{markdown(terms.target)}** while it is **{bound}**, until "
            f"**{markdown(terms.expires)}**.",
            "",
            f"- Reason: {markdown(terms.reason)}",
            f"- Ticket: {markdown(terms.ticket)}",
            f"- Risk owner: {markdown(terms.risk_owner)}",
            f"- Asked for by: {', '.join(map(markdown, terms.requesters)) or 'nobody: a scheduled run'}",
            f"- {needed} signature(s) needed, from {', '.join(map(markdown, sorted(people)))}. An audit on live data "
            "will be owed.",
        ]
    )


def _bound(terms: Terms, shown: str) -> str:
    from airflow_mlgov.evidence.digests import hash_json

    return hash_json([terms.in_words(), shown])
