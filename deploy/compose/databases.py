"""One-shot job: a PostgreSQL user and database for each of Airflow, MLflow and the ledger, made once; passwords come
from ``postgres_roles.json``. Nobody but this job is the superuser. Says nothing of a password in an error."""

from __future__ import annotations

import json
import os
from pathlib import Path

import psycopg
from psycopg import sql

OWNERS = {"airflow": "airflow", "mlflow": "mlflow", "ledger": "ledger_owner"}


def main() -> None:
    """Make what is missing, and set the passwords."""
    roles = json.loads(Path(os.environ["ROLES_FILE"]).read_text())
    password = Path(os.environ["POSTGRES_PASSWORD_FILE"]).read_text().strip()
    with psycopg.connect(os.environ["POSTGRES_URL"], password=password, autocommit=True) as server:
        for role, secret in roles.items():
            name = sql.Identifier(role)
            if not server.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone():
                server.execute(sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE").format(name))
            server.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(name, sql.Literal(secret)))
        for database, owner in OWNERS.items():
            names = (sql.Identifier(database), sql.Identifier(owner))
            if not server.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone():
                server.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(*names))
            server.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(names[0]))
        server.execute("GRANT CONNECT ON DATABASE ledger TO ledger, ledger_reader")
    print(f"databases {', '.join(OWNERS)} and users {', '.join(roles)} are there")


if __name__ == "__main__":
    main()
