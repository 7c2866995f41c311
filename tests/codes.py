"""An error is told by its code, not by its words."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from airflow_mlgov.errors import MlgovError, PromotionRefused


@contextmanager
def raises_code(
    kind: type[MlgovError], code: str, match: str | None = None
) -> Iterator[pytest.ExceptionInfo[MlgovError]]:
    """Hold that the block raises an error of this class and this code.

    :param match: only if the words themselves are the point: a line number, a value, a name
    """
    with pytest.raises(kind, match=match or None) as caught:
        yield caught
    assert caught.value.code == code


@contextmanager
def refuses(code: str, about: str = "") -> Iterator[None]:
    """Hold that the block refuses a promotion or a rollback for a reason of this code.

    :param about: what the reason's message names
    """
    with pytest.raises(PromotionRefused) as caught:
        yield
    assert code in {reason for reason, text in caught.value.reasons if about in text}
