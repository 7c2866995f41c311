"""How low and how high a metric can be at all: a bound beyond that bounds nothing."""

from __future__ import annotations

import re

from airflow_mlgov.gates.bounds import VS_CHAMPION, WORST_SLICE

Range = tuple[float | None, float | None]
"""Lowest and highest value; None: no end, or none that is known."""

_SHARE: Range = (0.0, 1.0)
_POSITIVE: Range = (0.0, None)
_OPEN: Range = (None, None)
_BY_NAME: tuple[tuple[str, Range], ...] = (
    (r"matthews_corrcoef", (-1.0, 1.0)),
    (r"neg_.*", (None, 0.0)),
    (r"(r2|explained_variance|d2_.*)", (None, 1.0)),
    (r"(calibration_slope|calibration_intercept)", _OPEN),
    (r"(mean_error|mean_prediction)_(difference|ratio)", _POSITIVE),
    (r"calibration_in_the_large_difference", _POSITIVE),
    (r"(mean_error|mean_prediction|calibration_in_the_large).*", _OPEN),
    (r"(.*_ratio|.*_disparity|log_loss|rmse|mae|positive_likelihood_ratio|mean_absolute_error.*)", _POSITIVE),
    (r".*(_rate|_rate_difference|_rate_group_min|_rate_group_max)", _SHARE),
    (r"(roc_auc|average_precision|brier_score|expected_calibration_error|top_k_accuracy|precision|recall).*", _SHARE),
    (r"(f1|jaccard|accuracy|balanced_accuracy|demographic_parity|equalized_odds|equal_opportunity).*", _SHARE),
)


def range_of(check: str) -> Range:
    """The range of a check that is named after a metric: its values, or their change against the champion."""
    metric = check.partition("[")[0].removesuffix(WORST_SLICE)
    relative, base = metric.endswith(VS_CHAMPION), metric.removesuffix(VS_CHAMPION).removesuffix(WORST_SLICE)
    low, high = next((found for pattern, found in _BY_NAME if re.fullmatch(pattern, base)), _OPEN)
    if not relative:
        return low, high
    return _OPEN if low is None or high is None else (low - high, high - low)


_EXAMPLES: tuple[tuple[str, str], ...] = (
    (rf".*{VS_CHAMPION}", "{min_change: -0.01}"),
    (r".*_ratio(_.*)?", "{min: 0.8}"),
    (r"(.*_difference|.*_disparity|expected_calibration_error)(_.*)?", "{max: 0.1}"),
    (r"(brier_score|log_loss|rmse|mae|mean_absolute_error)(_.*)?", "{max: 0.25}"),
    (r"(false|miss|abstention).*_rate(_.*)?", "{max: 0.05}"),
)


def example_of(check: str) -> str:
    """A bound of the kind that people set for a metric, as the policy writes it."""
    metric = check.partition("[")[0]
    return next((bound for pattern, bound in _EXAMPLES if re.fullmatch(pattern, metric)), "{min: 0.75}")
