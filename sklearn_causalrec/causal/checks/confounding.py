"""Effects that an unmeasured confounder of some strength is compatible with."""

from abc import ABC, abstractmethod
from html import escape
from typing import NamedTuple

import numpy as np
import pandas as pd

from sklearn_causalrec.effects.intervals import check_alpha
from sklearn_causalrec.encoding.checks import real
from sklearn_causalrec.encoding.kinds import short


class Bounds(NamedTuple):
    """Estimates under the worst confounding allowed, and their confidence limits."""

    lower: float
    upper: float
    low: float
    high: float


def check_share(**shares):
    for name, value in shares.items():
        try:
            value = np.asarray(value, float)
        except (TypeError, ValueError):
            raise TypeError(f"{name} is {short(value)}: numbers are needed.") from None
        wrong = value[~((value >= 0) & (value < 1))]
        if wrong.size:
            raise ValueError(
                f"{name} is a share of variance, from 0 up to but not 1: got "
                f"{wrong.flat[0]:g}."
            )


def share_of(strength):
    """The share v, the same for outcome and treatment, with v / sqrt(1 - v) given."""
    square = np.square(strength)
    if square == 0:
        return 0.0
    return float(2 / (1 + np.sqrt(1 + 4 / square)))


class ConfoundingBounds(ABC):
    """What can be asked of an estimate and the bias that a confounder gives it.

    The base of `Sensitivity`, for effects by any model, and of
    `RegressionSensitivity`, for coefficients of linear regressions.

    Attributes
    ----------
    estimate, bias : float
        The estimate, and the bias of a confounder of strength 1.
    benchmarks : DataFrame or None
        What observed covariates would amount to.
    """

    benchmarks = None

    @abstractmethod
    def _moved(self, strength, sign):
        """Estimate once a bias of that strength is taken off, and its error."""

    @abstractmethod
    def _limit(self, cf_y, cf_d, rho, alpha, sign):
        """Confidence limit of the bound on the side of ``sign``."""

    @abstractmethod
    def _robustness_of_limit(self, q, alpha, rho):
        """The share that brings the confidence limit there; see `robustness_value`."""

    @staticmethod
    def _strength(cf_y, cf_d, rho):
        check_share(cf_y=cf_y, cf_d=cf_d)
        if not -1 <= real(rho, "rho") <= 1:
            raise ValueError(f"rho is a correlation, from -1 to 1: got {rho!r}.")
        return abs(rho) * np.sqrt(cf_y * np.asarray(cf_d) / (1 - np.asarray(cf_d)))

    def bounds(self, cf_y=0.03, cf_d=0.03, rho=1.0, alpha=0.05):
        """The effects that confounding up to this strength is compatible with.

        Parameters
        ----------
        cf_y : float, default=0.03
            The share of the outcome's residual variance that the confounder explains.
        cf_d : float, default=0.03
            The share of the variance of the Riesz representer that is due to it. In a
            regression it is the partial R² of the confounder with the treatment.
        rho : float, default=1.0
            The correlation of the two roles of the confounder, from -1 to 1. 1 is the
            worst case.
        alpha : float, default=0.05
            One minus the level of confidence. Without confounding the limits are those
            of the two-sided interval of the estimate.

        Returns
        -------
        Bounds
            ``lower``, ``upper``: estimates of the smallest and the largest effect;
            ``low``, ``high``: their confidence limits.
        """
        check_alpha(alpha)
        cf_y, cf_d = real(cf_y, "cf_y"), real(cf_d, "cf_d")
        strength = self._strength(cf_y, cf_d, rho)
        return Bounds(
            float(self._moved(strength, 1)[0]),
            float(self._moved(strength, -1)[0]),
            float(self._limit(cf_y, cf_d, rho, alpha, 1)),
            float(self._limit(cf_y, cf_d, rho, alpha, -1)),
        )

    def robustness_value(self, q=1.0, alpha=None, rho=1.0):
        """Find the least confounding that lowers the estimate by a share ``q``.

        Parameters
        ----------
        q : float, default=1.0
            The share of the estimate. 1 lowers it to zero, 0.5 by half, more than 1
            past zero.
        alpha : float, default=None
            If given, the confidence limit at this level is lowered so far, not the
            estimate.
        rho : float, default=1.0
            The correlation of the two roles of the confounder, from -1 to 1. 1 is the
            worst case.

        Returns
        -------
        float
            A share v: ``cf_y = cf_d = v`` does it and less does not; 0 where no
            confounding is needed, as for an interval that contains zero.
        """
        if not real(q, "q") > 0:
            raise ValueError(f"q is a positive share of the estimate, got {q!r}.")
        if not 0 < abs(real(rho, "rho")) <= 1:
            raise ValueError(f"rho is a correlation other than 0, got {rho!r}.")
        if self.bias == 0:
            return 1.0 if self.estimate else 0.0
        if alpha is None:
            return share_of(q * abs(self.estimate) / (abs(rho) * self.bias))
        check_alpha(alpha)
        return self._robustness_of_limit(q, alpha, abs(rho))

    def contour(self, cf_d=None, cf_y=None, *, rho=1.0, alpha=None):
        """Compute the estimate, less the worst bias, over a grid of strengths.

        Parameters
        ----------
        cf_d, cf_y : array-like, default=None
            The grid. None goes from 0 to a little beyond the robustness value and the
            benchmarks.
        rho : float, default=1.0
            The correlation of the two roles of the confounder, from -1 to 1. 1 is the
            worst case.
        alpha : float, default=None
            If given, the values are those of the confidence limit at this level, not
            of the estimate.

        Returns
        -------
        DataFrame
            A row for each ``cf_y``, a column for each ``cf_d``.
        """
        if cf_d is None:
            cf_d = self._grid("cf_d", rho)
        if cf_y is None:
            cf_y = self._grid("cf_y", rho)
        cf_d, cf_y = np.asarray(cf_d, float), np.asarray(cf_y, float)
        sign = 1 if self.estimate >= 0 else -1
        grid = cf_y[:, None], cf_d[None, :]
        if alpha is None:
            values, _ = self._moved(self._strength(*grid, rho), sign)
        else:
            check_alpha(alpha)
            values = self._limit(*grid, rho, alpha, sign)
        rows, columns = pd.Index(cf_y, name="cf_y"), pd.Index(cf_d, name="cf_d")
        return pd.DataFrame(values, index=rows, columns=columns)

    def _grid(self, share, rho):
        far = [0.02, self.robustness_value(rho=rho) if rho else 0.5]
        if self.benchmarks is not None:
            far += [*self.benchmarks[share]]
        return np.linspace(0, min(1.35 * max(far), 0.95), 121)

    def to_frame(self, alpha=0.05):
        """Tabulate the estimate, its interval and its robustness values.

        Parameters
        ----------
        alpha : float, default=0.05
            One minus the level of confidence.

        Returns
        -------
        DataFrame
            One row, with the columns estimate, low, high, robustness_value and
            robustness_value_limit.
        """
        _, _, low, high = self.bounds(0, 0, alpha=alpha)
        return pd.DataFrame(
            {
                "estimate": self.estimate,
                "low": low,
                "high": high,
                "robustness_value": self.robustness_value(),
                "robustness_value_limit": self.robustness_value(alpha=alpha),
            },
            index=["effect"],
        )

    def __str__(self):
        row = self.to_frame().iloc[0]
        point, limit = row["robustness_value"], row["robustness_value_limit"]
        lines = [
            f"Effect {row['estimate']:.4g}, 95 % interval {row['low']:.4g} to "
            f"{row['high']:.4g}.",
            f"A latent confounder that explains {100 * point:.1f} % of what is left of "
            "outcome and treatment",
            "could bring the estimate to zero; "
            + (
                f"{100 * limit:.1f} % could bring the interval to zero."
                if limit > 0
                else "the interval contains zero as it is."
            ),
        ]
        for label, b in () if self.benchmarks is None else self.benchmarks.iterrows():
            lines.append(
                f"One like {label}: {100 * b['cf_y']:.1f} % of the outcome, "
                f"{100 * b['cf_d']:.1f} % of the treatment."
            )
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self):
        return "".join(f"<p>{escape(line)}</p>" for line in str(self).split("\n"))
