"""Turns what hvac and requests raise into this package's errors. Never repeats a server's text, which may echo input."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow_mlgov.errors import AccessError, ConfigurationError, DependencyError


@contextmanager
def vault_errors(what: str) -> Iterator[None]:
    """Run Vault calls; raise our errors instead of theirs.

    :param what: what was being tried, to follow "cannot" in the message: ``read the secret 'mlflow/promotion'``
    :raises DependencyError: Vault is down, sealed, or answered with a server error
    :raises AccessError: the token is wrong or expired, or its policy does not allow the path
    :raises ConfigurationError: the path, mount, key or role does not exist
    """
    import requests
    from hvac import exceptions as vault

    try:
        yield
    except vault.VaultDown as error:
        raise DependencyError(f"cannot {what}: Vault is sealed or not ready") from error
    except (vault.Forbidden, vault.Unauthorized) as error:
        raise AccessError(
            f"cannot {what}: Vault refused; the token or AppRole is wrong or expired, or its policy lacks this path"
        ) from error
    except vault.InvalidPath as error:
        raise ConfigurationError(f"cannot {what}: Vault has nothing at this path or mount") from error
    except (vault.InvalidRequest, vault.ParamValidationError) as error:
        raise ConfigurationError(
            f"cannot {what}: Vault refused the request as invalid; check the name of the key or role and the login"
        ) from error
    except vault.VaultError as error:
        raise DependencyError(f"cannot {what}: Vault answered with {type(error).__name__}") from error
    except requests.exceptions.RequestException as error:
        raise DependencyError(f"cannot {what}: Vault cannot be reached ({type(error).__name__})") from error
