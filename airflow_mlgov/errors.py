"""The errors of every floor. Each says whether trying again helps and what to change; none carries a secret."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Sequence
from traceback import walk_tb

from airflow_mlgov import extras, words


class MlgovError(Exception):
    """Base of every error this package raises on purpose. Its text is meant for the user, without a traceback.

    :param message: one line; whatever it quotes cannot make it two
    :param code: what went wrong, as ``room.what`` (``bound.looser``, ``column.missing``): the words may change, the
        code does not, so that tests, alerts and documents can name it
    :param more: further lines
    """

    code: str = "error"

    def __init__(self, message: str = "", *, code: str | None = None, more: Iterable[str] = ()) -> None:
        super().__init__(words.lines([message, *more]))
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


class InternalError(MlgovError):
    """A mistake of this package: something happened that no other error is for. Trying again does not help; please
    report it."""

    code = "internal.mistake"


def not_installed(error: ImportError, what: str) -> ConfigurationError:
    """That a package is not here which something needs, with the command that installs it.

    :param what: needs it: "a table of Delta"
    """
    why = extras.missing(error.name) or f"{error.name or error} is not installed"
    return ConfigurationError(f"{what} cannot be used here: {why}", code="library.missing")


_OF_A_PATH = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL}
)
_OF_RIGHTS = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def told(error: Exception) -> MlgovError:
    """What is said of any exception, at the edge where there is nobody left to know better. Of one that nobody expected
    no word is quoted, for it may hold a secret."""
    if isinstance(error, MlgovError):
        return error
    if isinstance(error, OSError) and error.filename is not None and error.errno in _OF_A_PATH | _OF_RIGHTS:
        what = f"{words.plain(os.fsdecode(error.filename), 200)}: {error.strerror}"
        if error.errno in _OF_RIGHTS:
            return AccessError(what, code="file.refused")
        return ConfigurationError(f"cannot use {what}", code="file.unreadable")
    if isinstance(error, ImportError) and (absent := extras.missing(error.name)):
        return ConfigurationError(f"this cannot be done here: {absent}", code="library.missing")
    passed = list(walk_tb(error.__traceback__))
    where = f" at {passed[-1][0].f_globals.get('__name__', '?')}:{passed[-1][1]}" if passed else ""
    return InternalError(
        f"{type(error).__name__}{where}: this is a mistake of airflow_mlgov, not yours. Please report it, with what "
        "`--debug` (or, in a task, the log at level DEBUG) shows",
        code="internal.mistake",
    )


class PromotionRefused(MlgovError):
    """The decision was deny. Trying again helps only after what the reasons name has changed.

    :param reasons: one ``(code, message)`` for each thing that is missing or wrong
    """

    code = "promotion.refused"

    def __init__(self, message: str, reasons: Sequence[tuple[str, str]] = ()) -> None:
        self.reasons = tuple(reasons)
        super().__init__(message, more=[f"  - {code}: {text}" for code, text in self.reasons])
