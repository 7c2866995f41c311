"""The errors of every floor. Each says whether trying again helps and what to change; none carries a secret."""

from __future__ import annotations

from collections.abc import Sequence


class MlgovError(Exception):
    """Base of every error this package raises on purpose. Its text is meant for the user, without a traceback.

    :param code: what went wrong, as ``room.what`` (``bound.looser``, ``column.missing``): the words may change, the
        code does not, so that tests, alerts and documents can name it
    """

    code: str = "error"

    def __init__(self, message: str = "", *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code

    @property
    def coded(self) -> str:
        """Its text, with its code in brackets at the end of the first line."""
        first, *rest = str(self).split("\n")
        return "\n".join([f"{first} [{self.code}]", *rest])


class ConfigurationError(MlgovError, ValueError):
    """Something the user wrote is wrong: a policy, a bound, a suite, a column name. Trying again does not help; the
    message names the thing, what was seen, and the mend."""

    code = "configuration"


class DependencyError(MlgovError):
    """A system this package needs (Vault, MLflow, the ledger, a warehouse) is down or answered with a server error.
    Trying again later helps; nothing was left half done."""

    code = "dependency.down"


class AccessError(MlgovError):
    """A system this package needs refused the credentials or the path (401, 403, a Vault policy). Trying again does
    not help until somebody grants access."""

    code = "access.refused"


class EvidenceError(MlgovError):
    """Evidence, the ledger or an artifact is not what it claims to be. Never retried: it needs a person."""

    code = "evidence.unsound"


class PromotionRefused(MlgovError):
    """The decision was deny. Trying again helps only after what the reasons name has changed.

    :param reasons: one ``(code, message)`` for each thing that is missing or wrong
    """

    code = "promotion.refused"

    def __init__(self, message: str, reasons: Sequence[tuple[str, str]] = ()) -> None:
        self.reasons = tuple(reasons)
        lines = "".join(f"\n  - {code}: {text}" for code, text in self.reasons)
        super().__init__(message + lines)
