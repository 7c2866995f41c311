"""A small governed world: real MLflow, a local key, a SQLite ledger, generated predictions."""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from statistics import NormalDist
from typing import Any

import pandas as pd

from airflow_mlgov.evidence.ledger import Ledger, open_ledger
from airflow_mlgov.evidence.signing import TrustRoot, duties, open_signer
from airflow_mlgov.evidence.verification import collect
from airflow_mlgov.operators.approval import ApprovalGateOperator
from airflow_mlgov.operators.data_validation import DataValidationGateOperator
from airflow_mlgov.operators.fairness import FairnessGateOperator
from airflow_mlgov.operators.performance import PerformanceGateOperator
from airflow_mlgov.operators.promotion import PromoteModelOperator
from airflow_mlgov.operators.registration import RegisterModelOperator
from tests.fixtures.airflow_runner import TaskEnd, TaskRun
from tests.fixtures.mlflow_server import MlflowServer

POLICY = """\
version: 1
groups: {{risk-officers: [olga, omar]}}
people: {{alice: {{}}}}
models:
  {model}:
    tier: medium
    owners: [owners@bank.example]
    gates:
      data_validation: {{suite: suite.json}}
      performance: {{label: y, score: score, roc_auc: {{min: 0.75}}, roc_auc_vs_champion: {{min_change: -0.05}}}}
      fairness:
        label: y
        prediction: prediction
        sensitive_features: {{sex: [female, male]}}
        demographic_parity_ratio: {{min: 0.8, max: 1.25}}
    targets:
      production:
        stage: Production
        alias: champion
        archive_previous: true
        requires: [data_validation, performance, fairness]
        approvals: {{count: 1, from: [risk-officers], not: [trainer, requester]}}
"""
SUITE = {
    "name": "people",
    "expectations": [
        {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "y"}, "severity": "critical"},
        {
            "type": "expect_column_values_to_be_between",
            "kwargs": {"column": "age", "min_value": 18, "max_value": 100},
            "severity": "critical",
        },
    ],
}


def people(rows: int = 1200, bias: float = 0.0, seed: int = 7) -> pd.DataFrame:
    """People with a truth, a good score, and predictions that select women less often by ``bias``.

    Women and men, with either truth, are as many and have scores that differ by 0.005; so the ratio of their selection
    rates is 0.98 and its interval begins at 0.87, far from a bound of 0.8. No library's random numbers decide whether
    tests pass: Python's, which are the same in every version, shuffle the rows and draw the ages.
    """
    random = Random(seed)
    cells, noise = [(sex, y) for y in (0, 1) for sex in ("female", "male")], NormalDist(sigma=0.15)
    found = []
    for number in range(rows):
        sex, y = cells[number % 4]
        y = 0 if number >= rows - rows // 300 * (seed % 10) else y  # so that the labels of two seeds are not the same
        place = (number // 4 + 0.25 + 0.5 * random.random()) / -(-rows // 4)
        score = min(max(0.3 * y + 0.35 - 0.005 * (sex == "female") + noise.inv_cdf(place), 0.0), 1.0)
        selected = score >= 0.5 + bias * (sex == "female")
        found.append((float(random.randint(18, 89)), sex, y, score, int(selected)))
    random.shuffle(found)
    return pd.DataFrame(found, columns=["age", "sex", "y", "score", "prediction"])


@dataclass
class Release:
    """The operators of one governed DAG, each run through Airflow's task runner."""

    folder: Path
    model: str
    server: MlflowServer
    run: TaskRun

    def write(self, name: str, frame: pd.DataFrame) -> str:
        path = self.folder / name
        frame.to_parquet(path) if name.endswith(".parquet") else frame.to_csv(path, index=False)
        return str(path)

    @property
    def ledger(self) -> Ledger:
        return open_ledger(f"sqlite:///{self.folder / 'ledger.db'}")

    @property
    def version(self) -> Any:
        return self.server.registry.resolve(self.ref("1"))

    def register(self, weight: float = 1.0, **given: Any) -> TaskEnd:
        given.setdefault("datasets", [str(self.folder / "train.csv")])
        given.setdefault("run_id", self.server.log_model(weight))
        return self.run(RegisterModelOperator(task_id="register", model=self.model, **given))

    def validate(self, data: str | None = None, **given: Any) -> TaskEnd:
        data = data or str(self.folder / "train.csv")
        given.setdefault("suite", str(self.folder / "suite.json"))
        return self.run(DataValidationGateOperator(task_id="validate_data", data=data, **given))

    def performance(self, data: str | None = None, number: str = "1", **given: Any) -> TaskEnd:
        data = data or str(self.folder / "good.parquet")
        return self.run(PerformanceGateOperator(task_id="performance", model=self.ref(number), data=data, **given))

    def fairness(self, data: str | None = None, number: str = "1", **given: Any) -> TaskEnd:
        data = data or str(self.folder / "good.parquet")
        return self.run(FairnessGateOperator(task_id="fairness", model=self.ref(number), data=data, **given))

    def ask(self, number: str = "1", event: Any = None, user: str | None = "alice") -> TaskEnd:
        operator = ApprovalGateOperator(task_id="approve", model=self.ref(number), target="production")
        return self.run(operator, event=event, user=user)

    def promote(self, number: str = "1", target: str = "production", user: str | None = "alice") -> TaskEnd:
        return self.run(PromoteModelOperator(task_id="promote", model=self.ref(number), target=target), user=user)

    def ref(self, number: str) -> str:
        return f"models:/{self.model}/{number}"


def new_release(folder: Path, server: MlflowServer, run: TaskRun, setenv: Callable[[str, str], None]) -> Release:
    """A release of a model of its own; what a deployment would configure is in the environment.

    :param setenv: sets an environment variable for as long as the release is needed
    """
    model = f"credit_{uuid.uuid4().hex[:8]}"
    (folder / "mlgov.yaml").write_text(POLICY.format(model=model))
    (folder / "suite.json").write_text(json.dumps(SUITE))
    for name, value in {
        "POLICY": folder / "mlgov.yaml",
        "LEDGER": f"sqlite:///{folder / 'ledger.db'}",
        "SIGN": f"local:{folder / '{duty}.pem'}",
        "TRUST_ROOT": folder / "trust.json",
        "ENVIRONMENT": "test",
    }.items():
        setenv(f"AIRFLOW__MLGOV__{name}", str(value))
    setenv("AIRFLOW_CONN_MLFLOW_DEFAULT", server.connection())
    trust_local_keys(folder)
    made = Release(folder, model, server, run)
    made.write("train.csv", people(seed=1))
    made.write("good.parquet", people())
    made.write("biased.parquet", people(bias=0.12))
    return made


def trust_local_keys(folder: Path) -> None:
    """One local key for each duty, each trusted for that duty alone."""
    trust = TrustRoot()
    for duty in duties():
        trust = trust.with_key(open_signer(f"local:{folder / f'{duty}.pem'}", make_key=True).public_key, [duty])
    trust.save(folder / "trust.json")


def form_of(asked: TaskEnd) -> Any:
    """What the approval wrote into Airflow's form."""
    return next(item for item in asked.sent if type(item).__name__ == "CreateHITLDetailPayload")


def answer(
    asked: TaskEnd, who: str | None = "olga", choice: str = "Approve", reason: str = "checked"
) -> dict[str, Any]:
    """What Airflow hands back when somebody has filled in that form."""
    shown = form_of(asked).params["evidence"]
    evidence = shown["value"] if isinstance(shown, dict) else shown  # Airflow 3.1.2 gives the value alone
    return {
        "chosen_options": [choice],
        "params_input": {"reason": reason, "evidence": evidence},
        "responded_at": datetime.now(UTC),
        "responded_by_user": {"id": who, "name": who} if who else None,
        "timedout": who is None,
    }


def gated(release: Release) -> None:
    for end in (release.validate(), release.register(), release.performance(), release.fairness()):
        assert end.state == "success", end.error


def evidence(release: Release) -> dict[str, Any]:
    """The newest result of the data gate."""
    good, _ = collect(release.ledger.walk(), TrustRoot.load(release.folder / "trust.json"), kind="gate")
    return dict(good[-1].document["predicate"])
