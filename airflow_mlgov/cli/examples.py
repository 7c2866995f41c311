"""An example or two of every command, shown at the end of its help."""

from __future__ import annotations

from typing import Any

_OF_A_MODEL = "--model models:/credit_risk/7"
EXAMPLES: dict[str, tuple[str, ...]] = {
    "init": (
        "mlgov init governed --model loans --train train.csv --test test.csv --label approved --positive-label 1 "
        "--function my_training:train --sensitive sex",
    ),
    "register": ("mlgov register credit_risk --run 1f6a… --dataset train.csv",),
    "approve": (
        "mlgov approve models:/credit_risk/7 --target production --sign vault:olga",
        "mlgov approve models:/credit_risk/7 --target production --sign vault:olga --evidence 9c1e2ab47d03 "
        "--reason 'read every check'",
    ),
    "promote": ("mlgov promote models:/credit_risk/7 --target production",),
    "rollback": ("mlgov rollback credit_risk --target production --reason 'complaints since Monday'",),
    "reconcile": ("mlgov reconcile --model credit_risk --revert",),
    "verify": (
        "mlgov verify models:/credit_risk@champion",
        "mlgov verify --pack evidence.zip --artifact model/ --trust trust.json",
    ),
    "report": (
        "mlgov report models:/credit_risk@champion --framework eu-ai-act --out report.html",
        "mlgov report --framework fleet --format json",
    ),
    "sign-model": ("mlgov sign-model models:/credit_risk@champion --out model.sig --sign vault:mlgov-promotion",),
    "replay": ("mlgov replay", "mlgov replay --policy new.yaml --dags dags/"),
    "admission": (
        "mlgov admission --opa http://127.0.0.1:8181 --bundle-revision sha256:4f0c… --tls-cert tls.crt "
        "--tls-key tls.key",
    ),
    "board": ("mlgov board --policy mlgov.yaml",),
    "waive": (
        "mlgov waive models:/credit_risk/7 --target production --gate fairness "
        "--check 'demographic_parity_ratio[race]' --min 0.78 --days 14 --ticket RISK-12 "
        "--risk-owner olga --reason 'few rows'",
        "mlgov waive models:/credit_risk/7 --target production --cosign 3b9d41c7 --reason 'agreed'",
    ),
    "break-glass": ("mlgov break-glass models:/credit_risk/7 --target production --hours 4 --reason 'fraud wave'",),
    "obligations": ("mlgov obligations --model credit_risk",),
    "vault-policy": ("mlgov vault-policy fairness | vault policy write mlgov-fairness -",),
    "explain": ("mlgov explain bound.not_met",),
    "completion": ("source <(mlgov completion bash)",),
    "doctor": ("mlgov doctor",),
    "demo": ("mlgov demo --keep",),
    "gate data": (
        "mlgov gate data --data train.csv --suite suite.json",
        "mlgov gate data --data s3://lake@bucket/train.parquet --suite suite.json --model credit_risk --record",
    ),
    "gate evaluation": (
        f"mlgov gate evaluation --data scores.jsonl --bound 'toxic_rate<=0.01' {_OF_A_MODEL} --record",
    ),
    "gate fairness": (
        "mlgov gate fairness --data scored.parquet --label y --prediction p --sensitive sex "
        "--bound 'demographic_parity_ratio>=0.8'",
    ),
    "gate features": (
        "mlgov gate features --repo feast/ --service credit_v2 --rules rules.yaml --python /opt/feast/bin/python",
    ),
    "gate performance": (
        "mlgov gate performance --data scored.parquet --label y --score s --bound 'roc_auc>=0.75'",
        f"mlgov gate performance --data scored.parquet {_OF_A_MODEL} --policy mlgov.yaml --record",
    ),
    "gate policy": ("mlgov gate policy --input .github/workflows/release.yml",),
    "gate tfdv": ("mlgov gate tfdv --data train.csv --schema schema.pbtxt",),
    "policy check": ("mlgov policy check mlgov.yaml",),
    "policy schema": ("mlgov policy schema > mlgov.schema.json",),
    "policy bundle": ("mlgov policy bundle rules/ --out rules.tar.gz",),
    "policy test": ("mlgov policy test rules/",),
    "policy lint": ("mlgov policy lint rules/",),
    "policy diff": ("mlgov policy diff old.yaml new.yaml",),
    "suite propose": ("mlgov suite propose --data train.csv --out suite.json",),
    "data describe": ("mlgov data describe train.csv",),
    "ledger verify": (
        "mlgov ledger verify --checkpoint s3://audit/2026-11-24.json",
        "mlgov ledger verify --since s3://audit/2026-11-24.json --full",
        "mlgov ledger verify --checkpoint kept/ --witness w1.example+8c45ab1e+BGRl… --quorum 1",
    ),
    "ledger rebuild": ("mlgov ledger rebuild --checkpoint s3://audit/2026-11-24.json",),
    "ledger list": ("mlgov ledger list --model credit_risk --kind promotion",),
    "ledger search": ("mlgov ledger search --person olga --after 2026-11-01", "mlgov ledger search --text RISK-12"),
    "ledger add": ("mlgov ledger add scan.dsse.json --as scanner --model models:/credit_risk/7 --policy mlgov.yaml",),
    "ledger show": ("mlgov ledger show 42",),
    "ledger checkpoint": (
        "mlgov ledger checkpoint --out s3://audit/2026-11-24.json",
        "mlgov ledger checkpoint --note 2026-11-24.note --origin bank.example/models",
    ),
    "ledger erase": (
        "mlgov ledger erase --entry 42 --ground mistake --reason 'named a customer'",
        "mlgov ledger erase --person olga --ground request",
    ),
    "ledger person": ("mlgov ledger person olga --json > olga.json",),
    "ledger quarantine": ("mlgov ledger quarantine 42 --reason 'written by a script that had no key'",),
    "ledger export": (
        "mlgov ledger export --model models:/credit_risk@champion --out evidence.zip",
        "mlgov ledger export --tiles /srv/log --sign vault:mlgov-checkpoint --origin bank.example/models",
    ),
    "sinks deliver": ("mlgov sinks deliver",),
    "sinks list": ("mlgov sinks list --json",),
    "trust add": (
        "mlgov trust add --trust trust.json --sign vault:mlgov-fairness --duty fairness",
        "mlgov trust add --trust trust.json --public-key olga.pem --person olga --duty approval",
    ),
    "trust move": ("mlgov trust move --trust trust.json --sign 'vault:mlgov-{duty}'",),
    "trust end": ("mlgov trust end 3f54d161 --trust trust.json",),
    "trust show": ("mlgov trust show --trust trust.json",),
}
"""Command -> lines that a shell would take."""


def with_examples(command: Any, path: str) -> Any:
    """The command, and those below it, with their examples in their help."""
    below = getattr(command, "commands", {})
    for name, one in below.items():
        if one is not None:
            with_examples(one, f"{path} {name}")
    lines = EXAMPLES.get(path)
    if lines and not below:
        command.epilog = "\b\n" + "\n".join(["Examples:", *(f"  {line}" for line in lines)])
    return command
