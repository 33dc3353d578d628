"""Sensitivity of a linear regression to an omitted variable, in closed form."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.stats import t as student

from sklearn_causalrec.causal.checks.confounding import (
    ConfoundingBounds,
    check_share,
    share_of,
)
from sklearn_causalrec.encoding.checks import number, real
from sklearn_causalrec.encoding.kinds import short


class RegressionSensitivity(ConfoundingBounds):
    """Closed form for a regression; `Sensitivity.from_regression` makes it."""

    def __init__(self, estimate, stderr, dof, partial_r2=None):
        given = {"estimate": estimate, "stderr": stderr, "dof": dof}
        estimate, stderr, dof = (real(v, name) for name, v in given.items())
        number(estimate, "estimate")
        if not stderr > 0 or not dof > 1:
            raise ValueError(
                f"stderr must be positive and dof above 1, got {stderr!r}, {dof!r}."
            )
        if not np.isfinite((estimate / stderr) ** 2):
            raise ValueError(
                f"stderr is {stderr!r}, which is nothing beside the estimate "
                f"{estimate!r}: where there is no error, there is nothing to weigh a "
                "confounder by."
            )
        self.estimate, self.stderr, self.dof = float(estimate), float(stderr), dof
        self.bias = self.stderr * np.sqrt(dof)
        if partial_r2 is not None and not isinstance(partial_r2, Mapping):
            raise TypeError(
                f"partial_r2 is {short(partial_r2)}: pass a dict of pairs, by name."
            )
        if partial_r2:
            rows = {label: _as_strong(label, *r2) for label, r2 in partial_r2.items()}
            self.benchmarks = pd.DataFrame.from_dict(
                rows, orient="index", columns=["cf_y", "cf_d"]
            )

    def _moved(self, strength, sign):
        return self.estimate - sign * strength * self.bias, None

    def _limit(self, cf_y, cf_d, rho, alpha, sign):
        moved, _ = self._moved(self._strength(cf_y, cf_d, rho), sign)
        error = self.stderr * np.sqrt(self.dof / (self.dof - 1))
        error = error * np.sqrt((1 - cf_y) / (1 - cf_d))
        return moved - sign * student.ppf(1 - alpha / 2, self.dof - 1) * error

    def _robustness_of_limit(self, q, alpha, rho):
        f = q * abs(self.estimate) / self.bias
        critical = student.ppf(1 - alpha / 2, self.dof - 1) / np.sqrt(self.dof - 1)
        if f <= critical:
            return 0.0
        # A confounder that explains more of the outcome also makes the error smaller:
        # beyond this point less of the outcome does more harm.
        if rho == 1 and f > 1 / critical:
            return float((f**2 - critical**2) / (1 + f**2))
        return share_of((f - critical) / rho)

    def benchmark(self, shorter):
        raise TypeError(
            "a regression is benchmarked by partial R²: "
            "from_regression(..., partial_r2={label: (with outcome, with treatment)})."
        )


def _as_strong(label, r2_y, r2_d, k=1.0):
    """Bounds on both shares for a confounder k times as strong as a covariate."""
    check_share(**{f"partial R² of {label!r}": (r2_y, r2_d)})
    if k * r2_d >= 1 - r2_d:
        raise ValueError(
            f"no confounder can be as strong as {label!r} besides it: its partial R² "
            f"with the treatment is {r2_d:.3g}."
        )
    shared = k * r2_d**2 / ((1 - k * r2_d) * (1 - r2_d))
    harm = (np.sqrt(k) + np.sqrt(shared)) ** 2 / (1 - shared) * r2_y / (1 - r2_y)
    return min(harm, 1 - 1e-9), k * r2_d / (1 - r2_d)
