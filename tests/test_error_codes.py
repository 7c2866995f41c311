"""Every error that the package raises has a code, and each code is explained in one place."""

import re
from pathlib import Path

import pytest

from airflow_mlgov import errors
from airflow_mlgov.error_codes import MEANINGS
from airflow_mlgov.reference import filled
from airflow_mlgov.reference.codes import raised

DOCS = Path(__file__).parents[1] / "docs" / "codes.md"
pytestmark = pytest.mark.xdist_group("codes")
"""The package's source is read for them once, by one worker."""


def test_every_error_has_a_code() -> None:
    codes = re.compile(r"[a-z_]+\.[a-z_]+")
    wrong = [f"{item.path}:{item.line}" for item in raised() if not (item.code and codes.fullmatch(item.code))]
    assert wrong == []


def test_every_code_is_explained_and_every_explanation_is_of_a_code() -> None:
    assert {item.code for item in raised()} == set(MEANINGS)
    assert list(MEANINGS) == sorted(MEANINGS)


def test_the_documentation_has_every_code() -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert filled(text) == text, "run python -m airflow_mlgov.reference docs/codes.md"


def test_a_code_stands_at_the_end_of_the_first_line() -> None:
    error = errors.PromotionRefused("no", [("gate.not_passed", "FAIL")])
    assert error.coded == "no [promotion.refused]\n  - gate.not_passed: FAIL"
    assert errors.ConfigurationError("wrong", code="policy.empty").coded == "wrong [policy.empty]"
