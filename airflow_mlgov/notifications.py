"""The words that owners get when a gate stops their model: pure rendering, aggregates only. Sends nothing."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from airflow_mlgov.results import GateResult

_BODY = """\
To: {{ owners | join(", ") if owners else "nobody: the policy names no owners" }}

The {{ result.gate }} gate says {{ result.verdict }} on {{ subject }}.
It stays where it is: nothing was promoted.

What did not hold:
{% for check in result.failed -%}
- {{ check }}{% if check.bound is not none and check.bound.source is defined %} [{{ check.bound.source }}]{% endif %}
{% else -%}
- no check was evaluated, so nothing was decided
{% endfor %}
{%- if evidence %}
Signed evidence: {{ evidence }}
{%- endif %}
{%- if link %}
Airflow task: {{ link }}
{%- endif %}

{{ next_step }}
"""

_NEXT = {
    "data_validation": "Next: mend the data at its source and start the run again; the model was not trained on it.",
    "performance": "Next: compare with the champion, retrain, and start the run again. The bound is in the policy.",
    "fairness": (
        "Next: look at the rates by group in the evidence, remove what stands in for the protected group or "
        "move the cut-off, retrain, and start the run again."
    ),
}


def render_gate_failed(
    result: GateResult,
    *,
    owners: Sequence[str] = (),
    model: str | None = None,
    evidence: str | None = None,
    link: str | None = None,
) -> tuple[str, str]:
    """Subject line and plain-text body of the message to the owners.

    :param owners: who is told, from the policy
    :param model: what to call the model; the result's subject where None
    :param evidence: where the signed evidence is, such as ``ledger:7@1a2b3c4d5e6f``
    :param link: URL of the Airflow task, see :func:`task_link`
    """
    from jinja2 import Environment, StrictUndefined

    subject = model or str(result.subject)
    # Plain text for mail and chat, not a page: escaping would garble names.
    environment = Environment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)  # noqa: S701
    body = environment.from_string(_BODY).render(
        result=result,
        subject=subject,
        owners=list(owners),
        evidence=evidence,
        link=link,
        next_step=_NEXT.get(result.gate, "Next: mend what is named above and start the run again."),
    )
    named = model or f"{result.subject.name}" + (f" v{result.subject.version}" if result.subject.version else "")
    return f"[mlgov] {named}: {result.gate} {result.verdict}", body


def task_link(base_url: str, *, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> str:
    """The page of a task instance in Airflow's UI."""
    mapped = f"/mapped/{map_index}" if map_index >= 0 else ""
    return f"{base_url.rstrip('/')}/dags/{quote(dag_id)}/runs/{quote(run_id, safe='')}/tasks/{quote(task_id)}{mapped}"
