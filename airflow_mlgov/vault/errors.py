"""Turns what hvac and requests raise into this package's errors. Never repeats a server's text: it may echo input."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow_mlgov.errors import AccessError, ConfigurationError, DependencyError, MlgovError


@contextmanager
def vault_errors(what: str, *, login: bool = False) -> Iterator[None]:
    """Run Vault calls; raise our errors instead of theirs.

    :param what: what was being tried, to follow "cannot" in the message: ``read the secret 'mlflow/promotion'``
    :param login: it is a login, which Vault answers with 400 if the secret id is wrong
    :raises DependencyError: Vault is down, sealed, answered with a server error, or says what Vault does not say
    :raises AccessError: the token is wrong or expired, or its policy does not allow the path
    :raises ConfigurationError: the path, mount, key or role does not exist, or the client was set up wrongly
    """
    import requests
    from hvac import exceptions as vault
    from securesystemslib.exceptions import UnverifiedSignatureError

    try:
        yield
    except vault.VaultDown as error:
        raise DependencyError(f"cannot {what}: Vault is sealed or not ready", code="vault.down") from error
    except (vault.Forbidden, vault.Unauthorized) as error:
        raise _refused(what) from error
    except vault.InvalidPath as error:
        raise ConfigurationError(
            f"cannot {what}: Vault has nothing at this path or mount: look at the name and at the mount "
            "(vault:MOUNT/KEY where Transit is not at transit)",
            code="vault.no_path",
        ) from error
    except (vault.InvalidRequest, vault.ParamValidationError, vault.UnsupportedOperation) as error:
        if login:
            raise _refused(what) from error
        raise ConfigurationError(
            f"cannot {what}: Vault refused the request as invalid; check the names of the key, role and mount",
            code="vault.invalid",
        ) from error
    except vault.VaultError as error:
        raise _told(error, what) from error
    except requests.exceptions.RequestException as error:
        raise DependencyError(
            f"cannot {what}: Vault cannot be reached ({type(error).__name__}){_mend(error)}", code="vault.down"
        ) from error
    except (UnverifiedSignatureError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise DependencyError(
            f"cannot {what}: what answers says something else than Vault would: is its address right, and what is "
            "between here and there?",
            code="vault.down",
        ) from error


def _told(error: Exception, what: str) -> MlgovError:
    """Whatever else hvac and the hashicorp provider say."""
    from hvac import exceptions as vault

    if isinstance(error.__cause__, vault.Forbidden):  # the hashicorp provider says it so after a second try
        return _refused(what)
    if type(error) is vault.VaultError:  # the hashicorp provider's word for a connection that lacks something
        return ConfigurationError(
            f"cannot {what}: the Vault connection is incomplete: {error}", code="vault.connection"
        )
    return DependencyError(f"cannot {what}: Vault answered with {type(error).__name__}", code="vault.down")


def _mend(error: Exception) -> str:
    """What to look at, by what a connection has failed of; never what a server said."""
    from requests import exceptions

    if isinstance(error, exceptions.SSLError):
        return ": it speaks plain http, or its certificate is not trusted (VAULT_CACERT)"
    if isinstance(error, exceptions.InvalidSchema | exceptions.MissingSchema | exceptions.InvalidURL):
        return ": its address must be like https://vault.example:8200"
    return ": is its address (VAULT_ADDR, or the connection's host and port) right, and is it up?"


def _refused(what: str) -> AccessError:
    return AccessError(
        f"cannot {what}: Vault refused; the token or AppRole is wrong or expired, or its policy lacks this path",
        code="vault.refused",
    )
