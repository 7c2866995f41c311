"""OpenBao as the hooks find it: secrets, keys, and users of PostgreSQL made on demand."""

from urllib.parse import urlsplit

import pytest

from tests.fixtures.openbao import SECRET, OpenBaoServer
from tests.fixtures.postgres import PASSWORD


@pytest.fixture(scope="module")
def server(openbao: OpenBaoServer) -> OpenBaoServer:
    openbao.put_secret("team/mlflow", {"username": "svc", "password": SECRET, "ports": ["nested-value", 5]})
    openbao.put_secret("other/mlflow", {"password": "not-for-you"})
    openbao.make_key("mlgov-fairness")
    openbao.make_key("mlgov-promotion", "ecdsa-p256")
    return openbao


@pytest.fixture(scope="module")
def database(server: OpenBaoServer, postgres: str) -> str:
    """OpenBao makes PostgreSQL users for the role ``reader``."""
    where = urlsplit(postgres)
    client = server.client
    if "database/" not in client.sys.list_mounted_secrets_engines()["data"]:
        client.sys.enable_secrets_engine("database")
    client.secrets.database.configure(
        name="warehouse",
        plugin_name="postgresql-database-plugin",
        allowed_roles=["reader"],
        connection_url=f"postgresql://{{{{username}}}}:{{{{password}}}}@{where.hostname}:{where.port}{where.path}?sslmode=disable",
        username="postgres",
        password=PASSWORD,
    )
    client.secrets.database.create_role(
        name="reader",
        db_name="warehouse",
        creation_statements=[
            "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'",
        ],
        default_ttl="5m",
        max_ttl="10m",
    )
    return f"host={where.hostname} port={where.port} dbname={where.path[1:]}"
