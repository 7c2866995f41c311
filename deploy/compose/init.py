"""``make compose-init``: every password, key and token of docker-compose.yaml, drawn at random into ``secrets/`` and
``.env``, each for its owner alone. What is there already stays as it is; prints no secret. Needs ``openssl``."""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

DATABASES = {"airflow": "airflow", "mlflow": "mlflow", "ledger": "ledger_owner"}
"""Database -> its owner."""
LEDGER_ROLES = ("ledger", "ledger_reader")
"""May append; may read."""
QUEUES = ("default", "governance")
PEOPLE = ("admin", "alice", "olga", "marta")


def token() -> str:
    """256 bits that a URL, a shell and an ini file all take as they are."""
    return secrets.token_hex(32)


def made() -> Iterator[tuple[str, str]]:
    """Every file below ``secrets/``, and what stands in it."""
    roles = {role: token() for role in (*DATABASES.values(), *LEDGER_ROLES)}
    yield "postgres_password", token()
    yield "postgres_roles.json", json.dumps(roles, indent=2)
    for name in ("airflow", "mlflow"):
        yield f"{name}_pgpass", f"*:*:*:{name}:{roles[name]}\n"
    yield from redis()
    yield "airflow_jwt_secret", token()
    yield "airflow_api_secret", token()
    yield "airflow_fernet_key", base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    yield "airflow_passwords.json", json.dumps({name: secrets.token_urlsafe(12) for name in PEOPLE}, indent=2)
    yield "mlflow_auth.ini", mlflow(token())
    key, secret = secrets.token_hex(10), token()
    yield "s3_credentials", f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
    yield "openbao_seal_key", secrets.token_hex(32)
    opa = token()
    yield "opa_token", opa
    yield "opa_authz.rego", authz(opa)


def redis() -> Iterator[tuple[str, str]]:
    """A Redis where nobody unnamed does more than ping, the executor may write to every queue, and a worker touches its
    own alone."""
    executor, workers = token(), {queue: token() for queue in QUEUES}
    commands = "+@all -@admin -@dangerous +info +keys"
    users = ["user default on nopass resetkeys resetchannels -@all +ping"]
    users.append(f"user executor on >{executor} ~* &* {commands}")
    for queue, password in workers.items():
        keys = " ".join(f"~{name}*" for name in (queue, "_kombu.binding", "celery-task-meta-", "*.celery.pidbox"))
        users.append(f"user worker-{queue} on >{password} {keys} &* {commands}")
    yield "redis.conf", "\n".join(["port 6379", 'save ""', "appendonly no", *users, ""])
    yield "redis_executor", f"redis://executor:{executor}@redis:6379/0"
    for queue, password in workers.items():
        yield f"redis_{queue}", f"redis://worker-{queue}:{password}@redis:6379/0"


def mlflow(password: str) -> str:
    """MLflow's accounts, in its own database."""
    return (
        "[mlflow]\ndefault_permission = READ\ndatabase_uri = postgresql+psycopg2://mlflow@postgres:5432/mlflow\n"
        f"admin_username = admin\nadmin_password = {password}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )


def authz(bearer: str) -> str:
    """Who may ask OPA: who knows the token; everybody, whether it lives."""
    return (
        f'package system.authz\n\ndefault allow := false\n\nallow if input.identity == "{bearer}"\n\n'
        'allow if input.path == ["health"]\n'
    )


def certificate(folder: Path) -> None:
    """OPA's own, for ten years; who asks OPA trusts it and no other."""
    key, crt = folder / "opa.key", folder / "opa.crt"
    if key.exists() and crt.exists():
        return
    names = ["-subj", "/CN=opa", "-addext", "subjectAltName=DNS:opa,DNS:localhost,IP:127.0.0.1"]
    use = ["-addext", "keyUsage=critical,digitalSignature,keyCertSign"]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-days", "3650", "-keyout", str(key), "-out", str(crt), *names, *use]
    subprocess.run(command, check=True, capture_output=True)
    for path in (key, crt):
        path.chmod(0o600)


def environment(folder: Path) -> str:
    """What goes to containers by their environment, for want of another way, and as whom they run."""
    credentials = dict(
        line.split(" = ") for line in (folder / "s3_credentials").read_text().splitlines() if " = " in line
    )
    values = {
        "MLGOV_UID": os.getuid(),
        "MLGOV_GID": os.getgid(),
        "S3_ACCESS_KEY": credentials["aws_access_key_id"],
        "S3_SECRET_KEY": credentials["aws_secret_access_key"],
        "MLFLOW_FLASK_SERVER_SECRET_KEY": token(),
    }
    return "".join(f"{name}={value}\n" for name, value in values.items())


def write(path: Path, text: Callable[[], str]) -> bool:
    """Write a file for its owner alone, unless it is there."""
    if path.exists():
        return False
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text())
    return True


def main(root: Path) -> None:
    """Make what is missing."""
    folder = root / "secrets"
    folder.mkdir(mode=0o700, exist_ok=True)
    files = dict(made())
    there = [name for name in files if (folder / name).exists()]
    if there and len(there) < len(files):
        # some of them belong together: half of them new would be of no use to the other half
        sys.exit(f"{folder} has {len(there)} of {len(files)} secrets: complete it, or move it away for new ones")
    for name, text in files.items():
        write(folder / name, lambda text=text: text)
    os.umask(0o077)
    certificate(folder)
    (root / "dags" / "include" / "data").mkdir(mode=0o755, exist_ok=True)  # where a volume is mounted into dags
    new = write(root / ".env", lambda: environment(folder))
    print(f"{folder}: {len(files) - len(there)} secrets made; {root / '.env'}: {'made' if new else 'kept'}")
    print(f"passwords of {', '.join(PEOPLE)}: {folder / 'airflow_passwords.json'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
