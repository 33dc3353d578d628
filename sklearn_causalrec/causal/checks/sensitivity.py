"""What an unmeasured confounder would have to be like to overturn an effect."""

import numpy as np
import pandas as pd
from scipy.optimize import brentq

from sklearn_causalrec.causal.checks.confounding import ConfoundingBounds, share_of
from sklearn_causalrec.causal.checks.sensitivity_regression import (
    RegressionSensitivity,
)
from sklearn_causalrec.effects.intervals import normal_interval, normal_quantile


class Sensitivity(ConfoundingBounds):
    r"""Bounds on an effect when a confounder was left out [1]_.

    A latent variable that explains a share ``cf_y`` of the variance of the outcome
    that was left unexplained, and that accounts for a share ``cf_d`` of the variance
    of the Riesz representer :math:`\alpha` (the inverse-probability weights, or the
    residual of the treatment), moves the estimate by no more than

    .. math:: |\rho| \sqrt{c_y \frac{c_d}{1 - c_d}} \, S, \qquad
              S^2 = E[(Y - g)^2] \, E[\alpha^2]

    (corollary 2 of [1]_), where :math:`\rho` says how far its two roles go together
    and 1 is the worst case. Make one by :meth:`from_interactive`,
    :meth:`from_partially_linear`, :meth:`from_regression`, or of a fitted estimator
    by :func:`~sklearn_causalrec.causal.checks.robustness.sensitivity`.

    Parameters
    ----------
    estimate : float
        The effect, in the units of y.
    sigma2, nu2 : float
        The means :math:`E[(Y - g)^2]` and :math:`E[\alpha^2]`.
    influence, sigma2_influence, nu2_influence : ndarray of shape (n,)
        The influence function values of the three. The mean of each is taken off.

    Attributes
    ----------
    estimate, bias : float
        The estimate and S, both in units of the effect.
    benchmarks : DataFrame or None
        What observed covariates would amount to; see :meth:`benchmark`.

    See Also
    --------
    refute : Refits on changed data, which see faults of the models.
    negative_control : Outcomes that the treatment cannot have changed.
    e_value : The same question for a risk ratio.

    References
    ----------
    .. [1] Chernozhukov, V., Cinelli, C., Newey, W., Sharma, A. and Syrgkanis, V.
       (2022). "Long story short: omitted variable bias in causal machine learning."
       NBER 30302.
    .. [2] Cinelli, C. and Hazlett, C. (2020). "Making sense of sensitivity: extending
       omitted variable bias." Journal of the Royal Statistical Society B 82(1).

    Examples
    --------
    The study of Darfur in [2]_: 13.9 % of both residual variances would bring the
    estimate to zero, 7.6 % its confidence limit.

    >>> from sklearn_causalrec.causal.checks.sensitivity import Sensitivity
    >>> darfur = Sensitivity.from_regression(0.09731582, 0.02325654, 783)
    >>> round(darfur.robustness_value(), 3)
    0.139
    >>> round(darfur.robustness_value(alpha=0.05), 3)
    0.076
    >>> round(darfur.bounds(cf_y=0.05, cf_d=0.05).lower, 4)
    0.0639
    """

    def __init__(
        self, estimate, sigma2, nu2, influence, sigma2_influence, nu2_influence
    ):
        self.estimate = float(estimate)
        self.sigma2, self.nu2 = float(sigma2), float(nu2)
        self.bias = float(np.sqrt(sigma2 * nu2))
        own = np.asarray(influence, float)
        shift = np.zeros_like(own)
        if self.bias > 0:
            shift = sigma2 * np.asarray(nu2_influence, float)
            shift = (shift + nu2 * np.asarray(sigma2_influence, float)) / self.bias / 2
        # variances and covariance of the estimate and of S, in that order
        self._moments = np.cov([own, shift], bias=True)[[0, 0, 1], [0, 1, 1]] / len(own)

    # -- constructors --------------------------------------------------------------

    @classmethod
    def from_interactive(
        cls, y, arm, outcomes, propensity, *, contrast=(0, 1), scores=None
    ):
        """For a difference between arms by augmented inverse-probability weights.

        Parameters
        ----------
        y : array-like of shape (n,)
            The outcomes.
        arm : array-like of int of shape (n,)
            For each row, the column of the arm taken.
        outcomes, propensity : array-like of shape (n, n_arms)
            The cross-fitted mean outcome under every arm, and its probability.
        contrast : (int, int), default=(0, 1)
            The columns of the arm compared with and of the arm of interest.
        scores : array-like of shape (n, n_arms), default=None
            The uncentred influence function values of the mean under every arm. None
            takes those of augmented inverse-probability weighting.

        Returns
        -------
        Sensitivity
            The bounds of this contrast.

        Raises
        ------
        ValueError
            If shapes do not match, the contrast names no two columns, or a propensity
            is not above 0.

        Notes
        -----
        Of more than two arms only rows of these two bear on the bound: ``cf_y`` is a
        share of the variance left unexplained in them.
        """
        y, arm = np.asarray(y, float), np.asarray(arm)
        g, p = np.asarray(outcomes, float), np.asarray(propensity, float)
        if g.ndim != 2 or g.shape != p.shape or len(g) != len(y) or len(arm) != len(y):
            raise ValueError(
                f"outcomes and propensity must have {len(y)} rows, as y has, and a "
                f"column for each arm; got the shapes {g.shape} and {p.shape}, and "
                f"{len(arm)} arms."
            )
        first, second = contrast
        if first == second or not {first, second} <= set(range(g.shape[1])):
            raise ValueError(
                f"contrast names two of the columns 0 to {g.shape[1] - 1}, got "
                f"{contrast!r}."
            )
        if not (p[:, [first, second]] > 0).all():
            raise ValueError("propensities must be above 0: clip them first.")
        took = arm[:, None] == np.arange(g.shape[1])
        weight = took / np.where(p > 0, p, 1)
        if scores is None:
            scores = g + weight * (y[:, None] - g)
        score = np.asarray(scores, float)[:, second] - np.asarray(scores)[:, first]
        riesz = weight[:, second] - weight[:, first]
        residual = np.where(
            took[:, first] | took[:, second], y - g[np.arange(len(y)), arm], 0
        )
        # E[2 m(alpha) - alpha^2] rather than E[alpha^2]: its first-order error in the
        # propensity vanishes.
        nu2 = 2 * (1 / p[:, first] + 1 / p[:, second]) - riesz**2
        if nu2.mean() <= 0:
            nu2 = riesz**2
        return cls(
            score.mean(), np.mean(residual**2), nu2.mean(), score, residual**2, nu2
        )

    @classmethod
    def from_partially_linear(cls, y_residual, treatment_residual, *, estimate=None):
        """For the coefficient of a treatment, by residuals of cross-fitted models.

        Parameters
        ----------
        y_residual, treatment_residual : array-like of shape (n,)
            The parts of outcome and treatment that models of the covariates leave.
        estimate : float, default=None
            The coefficient. None is the regression of the one residual on the other.

        Returns
        -------
        Sensitivity
            The bounds of this coefficient.

        Raises
        ------
        ValueError
            If shapes do not match, or the residual of the treatment is zero.
        """
        u, v = np.asarray(y_residual, float), np.asarray(treatment_residual, float)
        if u.shape != v.shape or u.ndim != 1:
            raise ValueError(
                "the residuals of outcome and treatment must be two columns of the "
                f"same length, got the shapes {u.shape} and {v.shape}."
            )
        spread = np.mean(v**2)
        if not spread > 0:
            raise ValueError("nothing is left of the treatment: its residual is 0.")
        theta = np.mean(u * v) / spread if estimate is None else float(estimate)
        rest = u - theta * v
        return cls(
            theta,
            np.mean(rest**2),
            1 / spread,
            rest * v / spread,
            rest**2,
            -(v**2) / spread**2,
        )

    @classmethod
    def from_regression(cls, estimate, stderr, dof, *, partial_r2=None):
        """For a coefficient of a linear regression, in closed form [1]_.

        Parameters
        ----------
        estimate, stderr : float
            The coefficient of the treatment and its standard error.
        dof : int
            The residual degrees of freedom.
        partial_r2 : dict of str to (float, float), default=None
            For the label of each observed covariate, its partial R² with the outcome
            (given the treatment) and with the treatment. They become ``benchmarks``: a
            confounder as strong as they are (equation 22 of [1]_).

        Returns
        -------
        RegressionSensitivity
            The bounds of this coefficient.

        References
        ----------
        .. [1] Cinelli, C. and Hazlett, C. (2020). "Making sense of sensitivity:
           extending omitted variable bias." Journal of the Royal Statistical Society B
           82(1).
        """
        return RegressionSensitivity(estimate, stderr, dof, partial_r2)

    # -- what the questions of the base rest on ------------------------------------

    def _moved(self, strength, sign):
        """Estimate once a bias of that strength is taken off, and its error."""
        own, both, bias = self._moments
        moved = self.estimate - sign * strength * self.bias
        variance = own - 2 * sign * strength * both + strength**2 * bias
        return moved, np.sqrt(np.maximum(variance, 0))

    def _limit(self, cf_y, cf_d, rho, alpha, sign):
        """Confidence limit of the bound on the side of ``sign``."""
        moved, error = self._moved(self._strength(cf_y, cf_d, rho), sign)
        low, high = normal_interval(moved, error, alpha)
        return low if sign > 0 else high

    def _robustness_of_limit(self, q, alpha, rho):
        sign = 1 if self.estimate >= 0 else -1
        goal, z = (1 - q) * self.estimate, normal_quantile(alpha)

        def left(strength):
            moved, error = self._moved(strength, sign)
            return sign * (moved - goal) - z * error

        if left(0.0) <= 0:
            return 0.0
        # Concave in the strength and in the end falling: one root.
        high = 1.0
        while left(high) > 0:
            high *= 2
        return share_of(brentq(left, 0.0, high, xtol=1e-14) / rho)

    def benchmark(self, shorter):
        """Compute what observed covariates would amount to, had they been left out.

        Parameters
        ----------
        shorter : dict of str to Sensitivity
            For each label, the same effect estimated without the covariates of that
            label.

        Returns
        -------
        DataFrame
            By label: ``cf_y`` and ``cf_d``, the gains of section 4 of Chernozhukov et
            al. (2022); ``rho``; and ``change``, the estimate without them less the
            estimate. Also kept in ``benchmarks``.
        """
        rows = {}
        for label, short in shorter.items():
            change = short.estimate - self.estimate
            g, a = short.sigma2 - self.sigma2, self.nu2 - short.nu2
            rho = np.sign(change)
            if g > 0 and a > 0:
                rho *= min(abs(change) / np.sqrt(g * a), 1)
            rows[label] = (
                np.clip(g / self.sigma2, 0, 1),
                np.clip(a / short.nu2, 0, 1),
                rho,
                change,
            )
        self.benchmarks = pd.DataFrame.from_dict(
            rows, orient="index", columns=["cf_y", "cf_d", "rho", "change"]
        )
        return self.benchmarks
