"""Adjustment for a continuous treatment: dose-response curve, contrast, derivative."""

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.sparse import csr_matrix
from sklearn.base import is_classifier
from sklearn.preprocessing import SplineTransformer

from sklearn_causalrec._utils.warn import warn_user
from sklearn_causalrec.causal.estimation.corrected import Corrected
from sklearn_causalrec.effects.clusters import estimate, outer
from sklearn_causalrec.effects.cross_fitting import CrossFit, as_models
from sklearn_causalrec.effects.default_learners import (
    dose_regressors,
    nuisance_regressors,
)
from sklearn_causalrec.effects.intervals import Estimate, normal_interval

GRID = 101  # points between which averages over z are interpolated
FEW_ROWS = 3  # effective rows around a point below which it is warned of


class ResidualDensity:
    """Kernel density of residuals whose mean and variance it keeps.

    Residuals are drawn together before smoothing, as in the smoothed bootstrap:
    normal residuals then have a normal density, not a wider one.

    Parameters
    ----------
    residual : ndarray of shape (n,)
    derivative : bool
        Bandwidth for the slope of the density rather than for the density.
    """

    def __init__(self, residual, derivative=False):
        n, mean, sd = len(residual), residual.mean(), residual.std()
        # normal reference rules in one dimension
        width = (4 / 5 / n) ** (1 / 7) if derivative else (4 / 3 / n) ** (1 / 5)
        drawn = mean + (residual - mean) * np.sqrt(1 - width**2)
        self.edge = np.abs(drawn).max() + 6 * sd * width
        count, edges = np.histogram(drawn, 4096, (-self.edge, self.edge))
        self.at = (edges[1:] + edges[:-1]) / 2
        step = edges[1] - edges[0]
        self.value = gaussian_filter1d(
            count / (n * step), sd * width / step, truncate=6
        )

    def __call__(self, residual):
        return np.interp(residual, self.at, self.value, left=0.0, right=0.0)


class ConditionalDensity:
    """Density of t given Z: mean and scale regressed on Z, residuals smoothed [1]_.

    References
    ----------
    .. [1] E. Kennedy, Z. Ma, M. McHugh, D. Small (2017). Non-parametric methods for
       doubly robust estimation of continuous treatment effects. JRSS B 79.
    """

    def __init__(self, models, t, Z, fold, *, seed=0, n_jobs=None):
        fit = {"seed": seed, "n_jobs": n_jobs}
        self.mean = CrossFit(models, Z, t, fold, **fit)
        square = (t - self.mean(Z)) ** 2
        self.variance = CrossFit(models, Z, square, fold, **fit)
        self.floor = square.mean() / 10
        self.sd = np.sqrt(square.mean())
        residual = (t - self.mean(Z)) / np.sqrt(
            np.maximum(self.variance(Z), self.floor)
        )
        others = [residual[fold != k] for k in range(fold.max() + 1)]
        self.density = [ResidualDensity(r) for r in others]
        self.slope = [ResidualDensity(r, derivative=True) for r in others]

    def location_scale(self, k, Z):
        """Mean and standard deviation given Z by the models without fold ``k``."""
        variance = np.maximum(self.variance.by(k, Z), self.floor)
        return self.mean.by(k, Z), np.sqrt(variance)


class DoseResponse:
    r"""Mean outcome under every dose of a continuous treatment.

    Doubly robust pseudo-outcomes [1]_, cross-fitted,

    .. math::
        \xi = \frac{Y - \mu(T, Z)}{\pi(T \mid Z)} \int \pi(T \mid z) dP(z)
        + \int \mu(T, z) dP(z)

    are regressed on cubic splines of T [2]_. The covariance is robust to
    heteroscedasticity and includes the sampling error of both averages over z.
    Estimates are consistent where the outcome regression or the density is. The
    outcome regression is corrected by one of its residuals, whose error is counted
    where the densities are wrong (`corrected.Corrected`).

    Parameters
    ----------
    outcome_model : estimator, list of estimators, or None
        Regression of y on the columns (t, Z); several are stacked.
    treatment_model : estimator, list of estimators, or None
        Regression of t, and of its squared residual, on Z.
    clip : float
        Densities are kept above this share of the marginal density of the dose.
    seed : int
    n_jobs : int, optional

    Attributes
    ----------
    support_ : tuple of float
        Smallest and largest dose observed.
    pseudo_outcome_, weight_ : ndarray of shape (n,)
        :math:`\xi`, and the ratio of densities in it.
    coef_, covariance_ : ndarray of shape (b,), (b, b)
        Of the splines.
    influence_ : ndarray of shape (n, b)
        Influence function of ``coef_``.
    halves_ : tuple of (covariance, derivative's error, degrees of freedom), or None
        The same of half-samples, where these are counted.

    References
    ----------
    .. [1] E. Kennedy, Z. Ma, M. McHugh, D. Small (2017). Non-parametric methods for
       doubly robust estimation of continuous treatment effects. JRSS B 79.
    .. [2] V. Semenova, V. Chernozhukov (2021). Debiased machine learning of conditional
       average treatment effects and other causal functions. Econometrics Journal 24.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> Z = rng.normal(size=(1000, 2))
    >>> t = Z[:, 0] + rng.normal(size=1000)
    >>> y = t + Z[:, 0] + rng.normal(size=1000)
    >>> model = DoseResponse().fit(y, t, Z, np.arange(1000) % 5)
    >>> effect, error, _ = model.contrast(-1, 1)
    >>> bool(abs(effect - 2) < 3 * error)
    True
    """

    halves_ = None

    def __init__(
        self, outcome_model=None, treatment_model=None, *, clip=0.02,
        seed=0, n_jobs=None,
    ):  # fmt: skip
        self.outcome_model = outcome_model
        self.treatment_model = treatment_model
        self.clip = clip
        self.seed = seed
        self.n_jobs = n_jobs

    def fit(self, y, t, Z, fold, clusters=None, spline=None):
        """Fit nuisances and curve.

        Parameters
        ----------
        y, t : ndarray of shape (n,)
            Outcome and dose.
        Z : ndarray of shape (n, p)
            The adjustment set; of no columns where there is nothing to adjust for.
        fold : ndarray of int of shape (n,)
        clusters : Clusters, default=None
            Which rows belong together. None: every row is alone.
        spline : SplineTransformer, default=None
            The splines, fitted. None: with knots at quantiles of the dose.

        Raises
        ------
        ValueError
            A dose that does not vary, or a classifier as model of it.
        """
        y, t, Z = (np.asarray(v, float) for v in (y, t, Z))
        fold, n = np.asarray(fold), len(y)
        if len(np.unique(t)) < 5:
            raise ValueError(
                f"The treatment has the values {np.unique(t).tolist()} only: treat it "
                "as discrete."
            )
        models = as_models(self.treatment_model, nuisance_regressors)
        if any(is_classifier(m) for m in models):
            raise ValueError("The model of a continuous treatment is a regression.")
        self._clusters = clusters
        jobs = {"seed": self.seed, "n_jobs": self.n_jobs}
        self._TZ, self._t, self._fold = np.column_stack([t, Z]), t, fold
        outcome = as_models(self.outcome_model, dose_regressors)
        fit = CrossFit(outcome, self._TZ, y, fold, **jobs)
        self._outcome = Corrected(fit, self._TZ, y, fold)
        self._density = ConditionalDensity(models, t, Z, fold, **jobs)
        self._residual = y - self._outcome(self._TZ)
        self.support_ = float(t.min()), float(t.max())
        self._sd = t.std()

        # knots of the curve: more than the rate that is best for the curve itself, so
        # that bias is small beside the standard error
        knots = max(4, round(1.6 * n**0.2))
        if spline is None:
            spline = SplineTransformer(knots, knots="quantile").fit(t[:, None])
        self._spline = spline
        basis = self._spline.transform(t[:, None])
        at = np.linspace(*self.support_, GRID)
        spread = _interpolation(t, at)
        folds = [np.flatnonzero(fold == k) for k in range(fold.max() + 1)]
        own, marginal, average = np.empty((3, n))
        by_mu, by_pi = np.empty((2, *basis.shape))
        densities = []
        for k, held in enumerate(folds):
            here = spread[held]
            mu, pi = self._on_grid(k, at, Z[held])
            average[held], marginal[held] = here @ mu.mean(1), here @ pi.mean(1)
            mean, scale = self._density.location_scale(k, Z[held])
            own[held] = self._density.density[k]((t[held] - mean) / scale) / scale
            # a row also speaks through the average over z of every other row
            deviation = mu - mu.mean(1, keepdims=True)
            by_mu[held] = deviation.T @ (here.T @ basis[held]) / len(held)
            densities.append(pi - pi.mean(1, keepdims=True))
        thin = own < self.clip * marginal
        # at an end of the data both may be zero: such a row corrects nothing
        own = np.maximum(own, np.maximum(self.clip * marginal, 1e-9 / self._sd))
        w = self.weight_ = marginal / own
        residual = self._residual
        self.pseudo_outcome_ = w * residual + average

        # average outcome and weighted residuals on splines, each by least squares: the
        # weights have mean one at every dose, and dividing by it tames large ones
        flat = np.linalg.pinv(basis.T @ basis / n)
        weighted = np.linalg.pinv((basis * w[:, None]).T @ basis / n)
        plug_in = flat @ (basis.T @ average / n)
        correction = weighted @ (basis.T @ (w * residual) / n)
        self.coef_ = plug_in + correction

        left = residual - basis @ correction
        ratio = np.where(thin, 0.0, left / own)[:, None] * basis
        for held, pi in zip(folds, densities):
            by_pi[held] = pi.T @ (spread[held].T @ ratio[held]) / len(held)
        leverage = w * np.sum(basis @ weighted * basis, 1) / n
        left = left / np.maximum(1 - leverage, 0.1)  # HC3
        self.influence_ = (basis * (w * left)[:, None] + by_pi) @ weighted
        self.influence_ += (basis * (average - basis @ plug_in)[:, None] + by_mu) @ flat
        # what the corrected outcomes err by, where the weights do not undo it
        terms = self._outcome.terms
        powers, means = terms.means(t, self._TZ)
        moved = flat @ (basis.T @ powers / n) @ means
        moved -= weighted @ (terms.sums(basis * w[:, None], self._TZ) / n)
        passed_on = self._outcome.passed_on(self._TZ, moved)
        self.influence_ += passed_on * residual[:, None]
        self.covariance_ = outer(self.influence_, clusters) / n**2
        return self

    def count_halves(self, y, halves):
        """Errors also from fits to halves of the rows: the larger ones are taken.

        Parameters
        ----------
        y : ndarray of shape (n,)
            The outcome, as in ``fit``.
        halves : list of ndarray of int
            The rows of each half.
        """
        found = []
        for rows in halves:
            half = DoseResponse(
                self.outcome_model, self.treatment_model,
                clip=self.clip, seed=self.seed, n_jobs=self.n_jobs,
            )  # fmt: skip
            data = y, self._t, self._TZ[:, 1:], self._fold
            half.fit(*(part[rows] for part in data), spline=self._spline)
            found.append([*half.coef_, half.average_derivative().value])
        spread = np.cov(np.array(found).T)
        error = float(np.sqrt(spread[-1, -1]))
        self.halves_ = spread[:-1, :-1], error, len(found) - 1

    def _covariances(self):
        """Covariances of the coefficients, with their degrees of freedom."""
        found = [(self.covariance_, np.inf)]
        if self.halves_ is not None:
            found.append((self.halves_[0], self.halves_[2]))
        return found

    def _on_grid(self, k, at, Z):
        """Outcome and density at every grid point for every row: two (GRID, m)."""
        mu = self._outcome.at_doses(k, at, np.column_stack([np.zeros(len(Z)), Z]))
        mean, scale = self._density.location_scale(k, Z)
        pi = self._density.density[k]((at[:, None] - mean) / scale) / scale
        return mu, pi

    def _design(self, points):
        """Splines at doses, which must be inside the support."""
        points = np.atleast_1d(np.asarray(points, float))
        low, high = self.support_
        outside = points[~((points >= low) & (points <= high))]
        if len(outside):
            raise ValueError(
                f"Dose {outside[0]:g} is outside of the observed range [{low:g}, "
                f"{high:g}]: nothing is known there."
            )
        rows = self.effective_rows(points)
        if (rows < FEW_ROWS).any():
            few = ", ".join(f"{p:.4g}" for p in points[rows < FEW_ROWS][:5])
            warn_user(
                f"Positivity: next to no rows near the doses {few} "
                f"({rows.min():.1f} effective rows): the curve is an extrapolation of "
                "splines there."
            )
        return self._spline.transform(points[:, None])

    def effective_rows(self, points):
        """Weighted rows within a fifth of a standard deviation, (Σw)² / Σw²."""
        points = np.atleast_1d(np.asarray(points, float))
        order = np.argsort(self._t)
        t, w = self._t[order], self.weight_[order]
        first = np.searchsorted(t, points - self._sd / 5)
        last = np.searchsorted(t, points + self._sd / 5, side="right")
        one, two = (np.append(0, np.cumsum(v)) for v in (w, w**2))
        return (one[last] - one[first]) ** 2 / np.maximum(
            two[last] - two[first], 1e-300
        )

    def default_grid(self, size=50):
        """Equally spaced doses between the 5th and the 95th percentile."""
        return np.linspace(*np.quantile(self._t, [0.05, 0.95]), size)

    def curve(self, points=None):
        """Mean outcome and standard error at doses.

        Parameters
        ----------
        points : array-like of shape (m,), optional
            Default :meth:`default_grid`.

        Returns
        -------
        mean, error : ndarray of shape (m,)

        Raises
        ------
        ValueError
            A dose outside of the observed range.
        """
        design = self._design(self.default_grid() if points is None else points)
        return design @ self.coef_, _errors(design, self.covariance_)

    def band(self, points=None, *, alpha=0.05, uniform=True):
        """Bounds of the curve: for all points at once, or for each alone.

        The critical value of the uniform band is the quantile of the largest
        studentised deviation over the points, by 10,000 draws of the coefficients.

        Returns
        -------
        low, high : ndarray of shape (m,)
        """
        design = self._design(self.default_grid() if points is None else points)
        reach = [self._reach(design, alpha, uniform, *c) for c in self._covariances()]
        mean, reach = design @ self.coef_, np.max(reach, axis=0)
        return mean - reach, mean + reach

    def _reach(self, design, alpha, uniform, covariance, degrees):
        """How far bounds are from the curve, by one covariance."""
        error = _errors(design, covariance)
        critical = normal_interval(0.0, 1.0, alpha, degrees)[1]
        if uniform:
            values, vectors = np.linalg.eigh(covariance)
            root = vectors * np.sqrt(np.maximum(values, 0))
            rng = np.random.default_rng(self.seed)
            draws = rng.normal(size=(len(root), 10_000))
            if np.isfinite(degrees):  # draws of Student's t, of all at once
                draws *= np.sqrt(degrees / rng.chisquare(degrees, 10_000))
            deviation = design @ (root @ draws) / np.maximum(error, 1e-300)[:, None]
            critical = np.quantile(np.abs(deviation).max(0), 1 - alpha)
        return critical * error

    def contrast(self, t0, t1):
        """Mean outcome under dose t1 less that under t0, an `Estimate`."""
        design = self._design([t0, t1])
        step = design[1:] - design[:1]
        value = float(step[0] @ self.coef_)
        return _larger(
            Estimate(value, float(_errors(step, covariance)[0]), degrees)
            for covariance, degrees in self._covariances()
        )

    def outcome(self, dose, Z):
        """Outcome regression at doses and covariates, (n,)."""
        return self._outcome.fit.at(np.column_stack([dose, Z]))

    def average_derivative(self):
        r"""Mean over rows of the slope of the outcome in the dose.

        .. math:: E[\partial_t \mu(T, Z) + \alpha(T, Z) (Y - \mu(T, Z))],
            \quad \alpha = -\partial_t \log \pi(T \mid Z)

        Both slopes are central differences over a tenth of the standard deviation of
        the residual dose, to either side: then it is doubly robust for trees, too.

        Returns
        -------
        Estimate
        """
        TZ, fold, step = self._TZ, self._fold, self._density.sd / 10
        up, down = TZ.copy(), TZ.copy()
        up[:, 0] += step
        down[:, 0] -= step
        slope = (self._outcome(up) - self._outcome(down)) / (2 * step)
        riesz = np.empty(len(TZ))
        for k in range(fold.max() + 1):
            held = fold == k
            mean, scale = self._density.location_scale(k, TZ[held, 1:])
            u, h, f = (TZ[held, 0] - mean) / scale, step / scale, self._density.slope[k]
            riesz[held] = (f(u - h) - f(u + h)) / np.maximum(2 * step * f(u), 1e-300)
        # the density says nothing beyond its last residual
        bound = 5 / self._density.sd / np.sqrt(self.clip / 0.02)
        riesz = np.clip(riesz, -bound, bound)
        terms = self._outcome.terms
        one = np.ones((len(TZ), 1))
        moved = (terms.sums(one, up) - terms.sums(one, down)) / (2 * step)
        moved = (moved - terms.sums(riesz[:, None], TZ)) / len(TZ)
        passed_on = self._outcome.passed_on(TZ, moved)[:, 0] * self._residual
        score = slope + riesz * self._residual + passed_on - passed_on.mean()
        found = estimate(float(score.mean()), score, self._clusters)
        if self.halves_ is None:
            return found
        return _larger([found, Estimate(found.value, *self.halves_[1:])])


def _larger(estimates):
    """The estimate with the wider interval."""
    return max(estimates, key=lambda one: np.ptp(one.interval(0.05)))


def _errors(design, covariance):
    return np.sqrt(np.maximum(np.sum(design @ covariance * design, 1), 0.0))


def _interpolation(t, at):
    """Sparse (n, len(at)) weights that interpolate between equally spaced points."""
    left = np.clip(np.searchsorted(at, t, side="right") - 1, 0, len(at) - 2)
    part = (t - at[left]) / (at[1] - at[0])
    rows = np.arange(len(t))
    return csr_matrix(
        (
            np.concatenate([1 - part, part]),
            (np.tile(rows, 2), np.concatenate([left, left + 1])),
        ),
        shape=(len(t), len(at)),
    )
