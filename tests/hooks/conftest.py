"""OpenBao as the hooks find it: secrets, keys, and users of PostgreSQL made on demand."""

import pytest

from tests.fixtures.openbao import SECRET, OpenBaoServer, warehouse


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
    return warehouse(server, postgres, default_ttl="5m", max_ttl="10m")
