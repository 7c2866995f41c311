"""What ``mlgov init`` writes: a policy, a suite, a DAG, settings and the script for Vault, drafted from answers and
data. Text alone; nothing here writes a file."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from airflow_mlgov.errors import ConfigurationError

_FEW_ROWS = 5_000
"""Held-out rows below which intervals seldom decide about a group."""
_MOST_GROUPS = 20
_FUNCTION = re.compile(r"(?P<module>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):(?P<function>[A-Za-z_]\w*)")
_WORD = re.compile(r"[^a-z0-9]+")
_LONGEST_WORD = 100
"""Characters: a file's name has 255 at the most, and a DAG's id 250."""


@dataclass(frozen=True)
class Answers:
    """What a person has said."""

    folder: Path
    model: str
    train: Path
    test: Path
    label: str
    positive: str
    sensitive: Sequence[str]
    row_id: str | None
    function: str
    """``module:function``, importable from the folder of DAGs."""
    approvers: Sequence[str]
    target: str
    environment: str
    least: float
    """ROC AUC that the model has to reach."""
    mlflow: str | None


@dataclass(frozen=True)
class Learned:
    """What the data says."""

    features: tuple[str, ...]
    positive: Any
    groups: Mapping[str, tuple[Any, ...]]
    rows: int


def learn(said: Answers) -> Learned:
    """Read both files: the label's two values, the values of each sensitive column, and what is left to learn from.

    :raises ConfigurationError: a column is missing, the label has not two values, or a sensitive column has too many
    """
    from airflow_mlgov.data.source import source_of

    own = [said.label, *said.sensitive, *([said.row_id] if said.row_id else [])]
    with source_of(str(said.train)).open() as relation:
        relation.require(*own)
        columns = tuple(relation.columns)
    with source_of(str(said.test)).open() as relation:
        relation.require(*columns)
        held_out = relation.frame([said.label, *said.sensitive])
    values = _values(held_out[said.label])
    positive = next((value for value in values if str(value) == said.positive), None)
    if len(values) != 2 or positive is None:
        raise ConfigurationError(
            f"{said.label!r} of {said.test} must have two values, {said.positive!r} one of them; it has "
            f"{', '.join(map(str, values[:_MOST_GROUPS]))}: draft the policy of another kind of model by hand",
            code="init.label",
        )
    groups = {name: tuple(_values(held_out[name])) for name in said.sensitive}
    for name, found in groups.items():
        if not 2 <= len(found) <= _MOST_GROUPS:
            raise ConfigurationError(
                f"{name!r} of {said.test} has {len(found)} values, and groups are told by 2 to {_MOST_GROUPS}: name "
                "another column, or cut this one by `bins` in the policy afterwards",
                code="init.groups",
            )
    left = {said.label, *said.sensitive, said.row_id}
    return Learned(tuple(name for name in columns if name not in left), positive, groups, len(held_out))


def _values(column: Any) -> list[Any]:
    """The values of a column, without missing ones, as Python has them."""
    found = column.dropna().unique().tolist()
    whole = [int(value) if isinstance(value, float) and value.is_integer() else value for value in found]
    return sorted(whole, key=lambda value: (str(type(value)), value))


def policy_of(said: Answers, known: Learned) -> str:
    """The governance policy."""
    requires = ["data_validation", "performance", *(["fairness"] if known.groups else [])]
    people = _listed(said.approvers)
    approvals = "        approvals: {count: 1, from: [approvers], not: [trainer, requester]}\n"
    return (
        _filled(
            "policy.txt",
            name=" ".join(said.model.split()),
            model=_text(said.model),
            label=_text(said.label),
            positive=_text(known.positive),
            row_id=f"        row_id: {_text(said.row_id)}\n" if said.row_id else "",
            least=f"{said.least:g}",
            groups=f"groups:\n  approvers: {people}   # user names, as Airflow knows them\n" if said.approvers else "",
            fairness=_fairness(said, known) if known.groups else "",
            target=_text(said.target),
            requires=", ".join(requires),
            approvals=approvals if said.approvers else "",
        ).rstrip()
        + "\n"
    )


def _fairness(said: Answers, known: Learned) -> str:
    features = "".join(f"          {_text(name)}: {_listed(values)}\n" for name, values in known.groups.items())
    point = "        decide: point   # too few rows for intervals to decide; the evidence has them\n"
    return (
        f"      fairness:\n        label: {_text(said.label)}\n        prediction: prediction\n"
        f"        positive_label: {_text(known.positive)}\n        sensitive_features:\n{features}"
        f"{point if known.rows < _FEW_ROWS else ''}"
        "        demographic_parity_ratio: {min: 0.8, max: 1.25}   # the four-fifths rule, from either side\n"
    )


def dag_of(said: Answers, known: Learned) -> str:
    """The DAG, which imports nothing but Airflow, the operators, and the function that trains.

    :raises ConfigurationError: the function is not named as module:function
    """
    match = _FUNCTION.fullmatch(said.function)
    if match is None:
        raise ConfigurationError(
            f"the function that trains is named module:function, such as training:train, not {said.function!r}",
            code="init.function",
        )
    gates = {"performance": ("PerformanceGateOperator", "perform")}
    if known.groups:
        gates["fairness"] = ("FairnessGateOperator", "fair")
    modules = {
        "data_validation": "DataValidationGateOperator",
        "registration": "RegisterModelOperator",
        "promotion": "PromoteModelOperator",
        **{gate: operator for gate, (operator, _) in gates.items()},
        **({"approval": "ApprovalGateOperator"} if said.approvers else {}),
    }
    on_target = "model=register.output, target=TARGET)"
    lines = [
        *(
            f'    {name} = {operator}(task_id="{gate}", model=register.output, data=PREDICTIONS)'
            for gate, (operator, name) in gates.items()
        ),
        *([f'    approve = ApprovalGateOperator(task_id="approve", {on_target}'] if said.approvers else []),
        f'    promote = PromoteModelOperator(task_id="promote", {on_target}',
        "",
        f"    validate >> run >> register >> [{', '.join(name for _, name in gates.values())}] >> "
        + ("approve >> promote" if said.approvers else "promote"),
    ]
    kept = [*([said.row_id] if said.row_id else []), said.label, *said.sensitive]
    return (
        _filled(
            "dag.txt",
            name=said.model.replace("\\", " ").replace('"', "'"),
            target=said.target.replace("\\", " ").replace('"', "'"),
            imports="\n".join(
                f"from airflow_mlgov.operators.{module} import {name}" for module, name in sorted(modules.items())
            ),
            model=_literal(said.model),
            target_text=_literal(said.target),
            label=_literal(said.label),
            positive=_literal(known.positive),
            features=_literal(list(known.features)),
            kept=_literal(kept),
            dag_id=_literal(f"{word_of(said.model)}_training"),
            train=_literal(str(said.train)),
            test=_literal(str(said.test)),
            predictions=_literal(str(said.folder / "predictions")),
            module=match["module"],
            function=match["function"],
            read_train=_reader(said.train),
            read_test=_reader(said.test),
            gates="\n".join(lines),
        ).rstrip()
        + "\n"
    )


def settings_of(said: Answers) -> str:
    """The settings of Airflow and of mlgov, as variables of a shell."""
    here = said.folder
    found = {
        "AIRFLOW__MLGOV__POLICY": here / "dags" / "include" / "mlgov.yaml",
        "AIRFLOW__MLGOV__ENVIRONMENT": said.environment,
        "AIRFLOW__MLGOV__LEDGER": f"sqlite:///{here / 'ledger.db'}",
        "AIRFLOW__MLGOV__TRUST_ROOT": here / "trust.json",
        "AIRFLOW__MLGOV__SIGN": f"local:{here / 'signing-key.pem'}",
        **({"MLFLOW_TRACKING_URI": said.mlflow} if said.mlflow else {}),
    }
    return (
        "# Settings of Airflow's [mlgov] and of the command line: set -a; . ./mlgov.env; set +a\n"
        "# A ledger in SQLite and a key file are for one person's first try: PostgreSQL and vault.sh are for a team.\n"
        + "".join(f"{name}={shlex.quote(str(value))}\n" for name, value in found.items())
    )


def vault_script() -> str:
    """The script that makes keys, policies, roles and connections in Vault or OpenBao."""
    from airflow_mlgov.evidence.signing import duties

    return _template("vault.sh").replace("${duties}", " ".join(duties()))


def word_of(model: str) -> str:
    """A model's name as the name of a file or a DAG."""
    return _WORD.sub("_", model.casefold()).strip("_")[:_LONGEST_WORD] or "model"


def _reader(path: Path) -> str:
    """What of pandas reads a file.

    :raises ConfigurationError: it is neither csv nor parquet
    """
    kind = {".csv": "read_csv", ".parquet": "read_parquet"}.get(path.suffix)
    if kind is None:
        raise ConfigurationError(
            f"the draft reads .csv and .parquet, and not {path.name}: name such a file, and edit the DAG afterwards",
            code="file.kind",
        )
    return kind


def _filled(template: str, /, **words: str) -> str:
    from string import Template

    return Template(_template(template)).substitute(words)


def _template(name: str) -> str:
    return (files("airflow_mlgov.cli.drafts") / name).read_text(encoding="utf-8")


def _text(value: Any) -> str:
    """A value as YAML reads it back, whatever it holds."""
    return json.dumps(value, ensure_ascii=True)


def _listed(values: Sequence[Any]) -> str:
    return f"[{', '.join(map(_text, values))}]"


def _literal(value: Any) -> str:
    """A value as Python reads it back."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=True)  # which is a literal of Python's too
    return f"[{', '.join(map(_literal, value))}]" if isinstance(value, list) else repr(value)
