"""A database connection of Airflow's as a SQLAlchemy URL without credentials, and the credentials beside it; or a table
of it as a source for a gate, with credentials that Vault makes for the task. Refuses a connection whose own hook gives
no SQLAlchemy engine, but one of Spark Connect."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

from airflow.sdk.log import mask_secret

from airflow_mlgov.configuration import option
from airflow_mlgov.errors import ConfigurationError
from airflow_mlgov.hooks.connections import named

if TYPE_CHECKING:
    import sqlalchemy as sa

    from airflow_mlgov.data.database import SqlSource
    from airflow_mlgov.data.spark import SparkSource

_DRIVERS = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg", "sqlite": "sqlite"}
_PROVIDERS = {
    "athena": "amazon",
    "gcpbigquery": "google",
    "google_cloud_platform": "google",
    "mssql": "microsoft-mssql",
    "redshift": "amazon",
}
"""Connection types whose provider package has another name."""
_SQL_HOOKS = {
    "databricks": "airflow.providers.databricks.hooks.databricks_sql.DatabricksSqlHook",
    "google_cloud_platform": "airflow.providers.google.cloud.hooks.bigquery.BigQueryHook",
}
"""Connection types whose registered hook is not the one for SQL."""


@dataclass(frozen=True)
class Database:
    """Where a connection leads."""

    url: str
    """SQLAlchemy's, without a credential."""
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    engine: sa.Engine | None = field(default=None, repr=False)
    """The hook's own, of connection types that this module does not know itself."""


def database(conn_id: str) -> Database:
    """The database of a connection; its password is masked in logs from here on.

    :raises ConfigurationError: a connection whose hook is not installed, or gives no SQLAlchemy engine
    """
    from sqlalchemy.engine import URL

    connection = named(conn_id, "postgres", "--conn-host HOST --conn-schema DATABASE --conn-login USER")
    _mask(connection.password)
    driver = _DRIVERS.get(connection.conn_type or "")
    if driver is None:
        return _of_hook(connection)
    if driver == "sqlite":
        return Database(URL.create("sqlite", database=connection.host).render_as_string())
    url = URL.create(driver, host=connection.host, port=connection.port, database=connection.schema)
    return Database(url.render_as_string(), connection.login, connection.password)


def _of_hook(connection: Any) -> Database:
    """What the connection's own hook makes of it: the engine (a key or a token is in it alone), and its URL."""
    from airflow_mlgov.data.database import secret_parameters

    engine = _engine(connection)
    url, secrets = engine.url, secret_parameters(engine.url)
    for secret in (url.password, *(str(url.query[name]) for name in secrets)):
        _mask(secret)
    bare = url._replace(username=None, password=None).difference_update_query(secrets)
    return Database(bare.render_as_string(), url.username or None, url.password or None, engine)


def _engine(connection: Any) -> sa.Engine:
    import sqlalchemy as sa

    kind = str(connection.conn_type)
    what = f"the connection {connection.conn_id!r} is of type {kind!r}"
    package = f"apache-airflow-providers-{_PROVIDERS.get(kind, kind.replace('_', '-'))}"
    try:
        hook = _hook(connection)
    except Exception as error:  # Airflow has no class of its own for it
        why = error if isinstance(error, ImportError) else type(error).__name__
        raise ConfigurationError(
            f"{what}, and its hook cannot be loaded ({why}): pip install {package}, if the type is spelt right",
            code="connection.no_hook",
        ) from None
    name = type(hook).__name__
    if not hasattr(hook, "get_sqlalchemy_engine"):
        raise ConfigurationError(
            f"{what}, whose hook {name} is of no SQL database; the gates read postgres, sqlite and every type whose "
            "hook gives a SQLAlchemy engine, such as mysql, snowflake, gcpbigquery, databricks or trino",
            code="connection.not_sql",
        )
    try:
        engine: sa.Engine = hook.get_sqlalchemy_engine({"poolclass": sa.NullPool})
    except (ImportError, sa.exc.NoSuchModuleError) as error:
        raise ConfigurationError(
            f"{what}, and its SQLAlchemy dialect or its driver is not installed ({error}): install what the "
            f"documentation of {package} names for SQLAlchemy",
            code="connection.no_driver",
        ) from None
    except Exception as error:  # of the hook's own making; its words may hold a credential
        raise ConfigurationError(
            f"{what}, and its hook {name} gives no SQLAlchemy engine ({type(error).__name__})",
            code="connection.no_engine",
        ) from None
    return engine


def _hook(connection: Any) -> Any:
    path = _SQL_HOOKS.get(connection.conn_type)
    if path is None:
        return connection.get_hook()
    module, _, name = path.rpartition(".")
    kind = getattr(import_module(module), name)
    return kind(**{kind.conn_name_attr: connection.conn_id})


def _mask(secret: str | None) -> None:
    """Keep a secret out of logs, also as a URL spells it."""
    for form in {secret, quote(secret, safe=""), quote_plus(secret)} if secret else ():
        mask_secret(form)


def require_one_source(data: str | None, conn_id: str | None, table: str | None, query: str | None) -> None:
    """Refuse arguments of an operator that name no data, or two.

    :raises ValueError: neither a path nor a connection, a connection without exactly one of table, query and (for
        Spark) data, or a table or a query without a connection
    """
    named = sum(item is not None for item in (data, table, query))
    if conn_id is None and (data is None or named > 1):
        raise ValueError("give either data= (a path) or conn_id= (a database, or Spark) with table= or query=")
    if conn_id is not None and named != 1:
        raise ValueError("with conn_id= give one of table=, query= and, for Spark, data= (a path that Spark reads)")


def source_at(
    conn_id: str,
    data: str | None,
    table: str | None,
    query: str | None,
    vault_database_role: str | None,
    duty: str,
    stack: ExitStack,
) -> SqlSource | SparkSource:
    """What a connection leads to: a database's table or query, or a table, a query or a path of Spark.

    :param data: a path that Spark reads
    :raises ConfigurationError: a path with a database, a role of Vault with Spark; and see :func:`database`
    """
    from airflow_mlgov.hooks.spark import CONN_TYPE, spark_source

    connection = named(conn_id, "postgres", "--conn-host HOST --conn-schema DATABASE --conn-login USER")
    if connection.conn_type != CONN_TYPE:
        if data is not None:
            raise ConfigurationError(
                f"the connection {conn_id!r} is of a database ({connection.conn_type}), which has tables: give table= "
                "or query=, and data= without conn_id=",
                code="data.twice",
            )
        return table_source(conn_id, table, query, vault_database_role, duty, stack)
    if vault_database_role:
        raise ConfigurationError(
            f"the connection {conn_id!r} is of Spark, which no role of Vault's database engine is for: leave "
            "vault_database_role out",
            code="setting.contradiction",
        )
    _mask(connection.password)
    return spark_source(connection, table, query, data)


def require_one_baseline(baseline: str | None, conn_id: str | None, table: str | None, query: str | None) -> None:
    """Refuse arguments of an operator that name the champion's rows twice, or a table without a connection.

    :raises ValueError: so they do
    """
    if sum(item is not None for item in (baseline, table, query)) > 1:
        raise ValueError("give one of baseline= (a path), baseline_table= and baseline_query=")
    if conn_id is None and (table is not None or query is not None):
        raise ValueError("baseline_table= and baseline_query= need conn_id=, which names the database")


def table_source(
    conn_id: str, table: str | None, query: str | None, vault_database_role: str | None, duty: str, stack: ExitStack
) -> SqlSource:
    """A table or query of a connection.

    :param vault_database_role: role of Vault's database engine; user and password are then made for this task and
        revoked when ``stack`` ends, and the connection needs neither
    :param duty: whose identity at Vault is used
    :raises ConfigurationError: see :func:`database`
    """
    from airflow_mlgov.data.database import SqlSource
    from airflow_mlgov.hooks.vault import MlgovVaultHook

    found = database(conn_id)
    if vault_database_role:
        vault = MlgovVaultHook(vault_conn_id=option("vault_conn_id", "vault_default").format(duty=duty))
        found = Database(found.url, *stack.enter_context(vault.database_credentials(vault_database_role)))
    return SqlSource(found.url, table, query, username=found.username, password=found.password, engine=found.engine)
