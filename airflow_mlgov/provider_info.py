"""What Airflow's provider discovery reads. Plain data; imports nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_NAME = "ML governance"


_BASES = ("__init__", "base", "form")


def _modules(folder: str) -> list[str]:
    """The modules of a folder that a DAG author imports from."""
    found = (path.stem for path in (Path(__file__).parent / folder).glob("*.py"))
    return sorted(f"airflow_mlgov.{folder}.{name}" for name in found if name not in _BASES and name[0] != "_")


def _option(description: str, kind: str = "string", default: str = "", example: str | None = None) -> dict[str, Any]:
    return {"description": description, "version_added": "0.1.0", "type": kind, "example": example, "default": default}


def _field(label: str, description: str, kind: list[str], **schema: Any) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": kind, **schema}}


def get_provider_info() -> dict[str, Any]:
    """The provider's metadata, valid against Airflow's ``provider_info.schema.json``."""
    return {
        "package-name": "airflow-provider-mlgov",
        "name": _NAME,
        "description": "ML governance gates: promotion trusts signed evidence bound to exact bytes.",
        "integrations": [{"integration-name": _NAME, "external-doc-url": "https://in-toto.io/", "tags": ["software"]}],
        "operators": [{"integration-name": _NAME, "python-modules": _modules("operators")}],
        "sensors": [{"integration-name": _NAME, "python-modules": _modules("sensors")}],
        "triggers": [{"integration-name": _NAME, "python-modules": _modules("triggers")}],
        "task-decorators": [{"name": "gate", "class-name": "airflow_mlgov.decorators.gate_task"}],
        "hooks": [
            {
                "integration-name": _NAME,
                "python-modules": [
                    "airflow_mlgov.hooks.ledger",
                    "airflow_mlgov.hooks.mlflow",
                    "airflow_mlgov.hooks.opa",
                    "airflow_mlgov.hooks.vault",
                ],
            }
        ],
        "connection-types": [_mlflow_connection(), _opa_connection(), _ledger_connection()],
        "plugins": [{"name": "mlgov", "plugin-class": "airflow_mlgov.plugins.MlgovPlugin"}],
        "cli": ["airflow_mlgov.airflow_commands.get_commands"],
        "config": {"mlgov": {"description": "ML governance gates and promotion.", "options": _options()}},
    }


def _mlflow_connection() -> dict[str, Any]:
    text = ["string", "null"]
    return {
        "connection-type": "mlflow",
        "hook-class-name": "airflow_mlgov.hooks.mlflow.MlflowHook",
        "hook-name": "MLflow",
        "ui-field-behaviour": {
            "hidden-fields": ["extra", "schema"],
            "relabeling": {"host": "Tracking server URL", "login": "User"},
            "placeholders": {"host": "https://mlflow.example"},
        },
        "conn-fields": {
            "vault_path": _field(
                "Vault path", "KV v2 path with username and password, instead of those above; may hold {duty}", text
            ),
            "vault_conn_id": _field("Vault connection", "Connection of type vault; may hold {duty}", text),
            "vault_mount": _field("Vault mount", "Mount of the KV v2 engine", text, default="secret"),
        },
    }


def _opa_connection() -> dict[str, Any]:
    text = ["string", "null"]
    return {
        "connection-type": "opa",
        "hook-class-name": "airflow_mlgov.hooks.opa.OpaHook",
        "hook-name": "Open Policy Agent",
        "ui-field-behaviour": {
            "hidden-fields": ["extra", "schema", "login"],
            "relabeling": {"host": "Server URL", "password": "Token"},
            "placeholders": {"host": "https://opa.example:8181"},
        },
        "conn-fields": {
            "ca": _field("CA", "File with the certificates to trust; the system's if empty", text),
            "cert": _field("Client certificate", "File, for mutual TLS", text),
            "key": _field("Client key", "File; in the certificate's if empty", text),
            "timeout": _field("Time limit", "Seconds for one answer", text, default="5"),
            "bundle": _field(
                "Bundle",
                "The server's own bundle, whose revision must be the rules' digest; empty: give it the rules",
                text,
            ),
            "vault_path": _field(
                "Vault path", "KV v2 path with the token, in place of one above; may hold {duty}", text
            ),
            "vault_conn_id": _field("Vault connection", "Connection of type vault; may hold {duty}", text),
            "vault_mount": _field("Vault mount", "Mount of the KV v2 engine", text, default="secret"),
        },
    }


def _ledger_connection() -> dict[str, Any]:
    return {
        "connection-type": "mlgov_ledger",
        "hook-class-name": "airflow_mlgov.hooks.ledger.LedgerHook",
        "hook-name": "ML governance ledger",
        "ui-field-behaviour": {
            "hidden-fields": ["extra"],
            "relabeling": {"schema": "Database (or path, for SQLite without a host)"},
            "placeholders": {"host": "postgres.example", "schema": "mlgov", "port": "5432"},
        },
    }


def _options() -> dict[str, Any]:
    return {
        "policy": _option("Path of the governance policy.", example="/etc/mlgov/mlgov.yaml"),
        "environment": _option("Evidence is bound to this name and counts in no other.", default="default"),
        "ledger": _option(
            "SQLAlchemy URL of the ledger without a password; SQLite in $AIRFLOW_HOME/mlgov where empty.",
            example="sqlite:////var/lib/mlgov/ledger.db",
        ),
        "ledger_conn_id": _option("Connection of type mlgov_ledger; wins over the URL."),
        "trust_root": _option("Path of the trust root.", example="/etc/mlgov/trust.json"),
        "sign": _option(
            "Signer: local:PATH or vault:KEY; may hold {duty}. A local key in $AIRFLOW_HOME/mlgov where empty.",
            example="vault:mlgov-{duty}",
        ),
        "checkpoint": _option(
            "Signed checkpoints of the ledger in another hand: files, folders or URLs, with blanks between them. "
            "Nothing is promoted, rolled back or said to serve from a ledger that is not what they say.",
            example="/mnt/auditor/checkpoints s3://auditor/mlgov/",
        ),
        "ledger_reads": _option(
            "proven: what is about a model is proven from what the newest promotion is signed over, and only what came "
            "since is walked. walk: the whole ledger is walked for each decision.",
            default="proven",
        ),
        "witnesses": _option(
            "Keys of witnesses as they publish them (name+hash+key), with blanks between them. Each checkpoint that is "
            "read must be a note that they have cosigned.",
            example="witness.example/w1+8c45ab1e+BGRl…",
        ),
        "witness_quorum": _option("How many of these witnesses must have cosigned a checkpoint; all where empty."),
        "origin": _option(
            "Name of the ledger in checkpoints that are signed notes; its own id where empty.",
            example="bank.example/models",
        ),
        "vault_conn_id": _option(
            "Connection of type vault for signing keys and database credentials; may hold {duty}.",
            example="mlgov_vault_{duty}",
        ),
        "mlflow_conn_id": _option("Connection to the model registry.", default="mlflow_default"),
        "policy_engine": _option(
            "What evaluates rules: regorus (embedded), opa (the server of opa_conn_id), opa-binary (opa_program). No "
            "answer is taken from OPA that the embedded engine does not give too.",
            default="regorus",
        ),
        "opa_conn_id": _option("Connection of type opa, where policy_engine is opa.", default="opa_default"),
        "opa_program": _option("Path of the program opa, where policy_engine is opa-binary; on the PATH where empty."),
        "opa_url": _option(
            "Address of the OPA server for commands, where policy_engine is opa; tasks take the connection.",
            example="https://opa.example:8181",
        ),
        "opa_token_file": _option("File with the token for that server.", example="/etc/mlgov/opa-token"),
        "opa_ca": _option("File with the certificates to trust of that server; the system's where empty."),
        "opa_cert": _option("File with a client certificate for that server."),
        "opa_key": _option("File with the key of that certificate; in the certificate's file where empty."),
        "opa_timeout": _option("Seconds that the server may take for one answer.", default="5"),
        "opa_bundle": _option(
            "A bundle that the server has loaded itself, whose revision must be the rules' digest; where empty, the "
            "rules are given to the server."
        ),
        "decision_log": _option(
            "File to which what rules are asked and answer is added, in the format of OPA's decision logs; none where "
            "empty.",
            example="/var/log/mlgov/decisions.jsonl",
        ),
        "registry_id": _option(
            "What evidence names the model registry by: one of its URLs, or the policy's registry_id. A connection "
            "that leads to another registry is refused. The connection's own URL, in one spelling, where empty.",
            example="https://mlflow.example",
        ),
        "memory_limit": _option(
            "The most that a gate may hold in memory, whatever the policy or a DAG says; they may say less.",
            example="2GB",
        ),
        "time_limit": _option(
            "The longest that a gate may take, in seconds or as a duration, whatever the policy or a DAG says; they "
            "may say less.",
            example="30m",
        ),
        "notifiers": _option(
            "JSON list of Airflow notifiers that tell people, each with class, kwargs and, where it is not for all, "
            "events. Strings may hold {subject}, {body}, {html}, {chat}, {to}, {owners}, {approvers}, "
            "{approvers_slack}, {deadline} and {event}. No secrets: they belong in connections.",
            example='[{"class": "airflow.providers.smtp.notifications.smtp.SmtpNotifier", "kwargs": '
            '{"to": "{to}", "subject": "{subject}", "html_content": "{html}"}, "events": ["gate_failed"]}]',
        ),
        "sinks": _option(
            "JSON list of where the audit trail is delivered to, each with name, kind (folder, webhook) and url; a "
            "webhook has conn_id, the connection whose password signs. See docs/sinks.md.",
            example='[{"name": "archive", "kind": "folder", "url": "s3://audit/mlgov"}]',
        ),
        "role_source": _option(
            "Function that is given the id and the name of an account and gives its roles, for groups of the policy "
            "that go by a role; where empty, roles are known of Airflow's simple auth manager alone.",
            example="bank.airflow_roles:of_account",
        ),
        "queue": _option(
            "Queue that the cluster policy gives to every task of this package, and on which it refuses others' tasks. "
            "Tasks stay where their DAG puts them where empty.",
            example="governance",
        ),
        "cluster_policy": _option(
            "enforce: refuse DAGs whose promotion could start although a gate before it did not succeed; warn: say so "
            "in the log. Off where empty."
        ),
        "cluster_policy_require": _option(
            "Gates, separated by commas, that must each guard every promotion of a DAG, where cluster_policy is set.",
            example="fairness,performance",
        ),
    }
