"""Instruments: two-stage least squares and EconML, with first-stage strength."""

import numpy as np
from scipy.linalg import eig
from scipy.stats import f as f_distribution

from sklearn_causalrec._utils.warn import warn_user
from sklearn_causalrec.causal.estimation.econml_effects import (
    EconMLEffect,
    as_table,
    nuisance,
)
from sklearn_causalrec.effects.default_learners import nuisance_regressors
from sklearn_causalrec.effects.intervals import check_alpha, normal_interval

WEAK = 10.0  # effective F below which the usual interval is not to be trusted
METHODS = ("2sls", "ortho_iv", "dmliv")


def residualize(A, C):
    """What ordinary least squares on C leaves of A."""
    return A - C @ np.linalg.lstsq(C, A, rcond=None)[0]


def two_stage(y, D, Z, *, n_controls=0):
    r"""Two-stage least squares of y on D by the instruments Z, controls removed.

    .. math:: \beta = (D' P_Z D)^{-1} D' P_Z y, \quad
        V = c (D' P_Z D)^{-1} \hat{D}' \mathrm{diag}(e^2) \hat{D} (D' P_Z D)^{-1}

    with c = n / (n - parameters), White's covariance.

    Parameters
    ----------
    y : ndarray of shape (n,)
    D : ndarray of shape (n, d)
    Z : ndarray of shape (n, k)
    n_controls : int
        Columns already partialled out, for the degrees of freedom.

    Returns
    -------
    coef : ndarray of shape (d,)
    covariance : ndarray of shape (d, d)
    """
    fitted = Z @ np.linalg.lstsq(Z, D, rcond=None)[0]
    bread = np.linalg.inv(fitted.T @ D)
    coef = bread @ (fitted.T @ y)
    score = fitted * (y - D @ coef)[:, None]
    n = len(y)
    scale = n / (n - D.shape[1] - n_controls)
    return coef, scale * bread @ (score.T @ score) @ bread.T


def effective_f(t, Z, *, n_controls=0):
    r"""Effective first-stage F of one treatment, controls removed [1]_.

    .. math:: F = \hat\pi' Q \hat\pi / \mathrm{tr}(\hat V Q), \quad Q = Z'Z

    V the heteroscedasticity-robust covariance of the first-stage coefficients: for one
    instrument the robust F.

    References
    ----------
    .. [1] J. L. Montiel Olea, C. Pflueger (2013). A robust test for weak instruments.
       Journal of Business & Economic Statistics 31.
    """
    n, k = Z.shape
    gram = Z.T @ Z
    coef = np.linalg.solve(gram, Z.T @ t)
    score = Z * (t - Z @ coef)[:, None]
    meat = score.T @ score * n / (n - k - n_controls)
    return float(coef @ gram @ coef / np.trace(np.linalg.solve(gram, meat)))


def anderson_rubin_set(y, t, Z, alpha=0.05, *, n_controls=0):
    r"""Effects b that the robust Anderson-Rubin test of b does not reject [1]_.

    y - b t is regressed on the instruments; the test that all its coefficients are zero
    has its level whatever the strength of the first stage. With their covariance
    :math:`\Omega(b)` quadratic in b, the bounds are the real eigenvalues of

    .. math:: \det(c\, \Omega(b) - g(b) g(b)') = 0

    a quadratic eigenvalue problem, so nothing is searched on a grid.

    Returns
    -------
    list of (low, high)
        Disjoint and ascending; [] where every effect is rejected, which speaks against
        the instruments.

    References
    ----------
    .. [1] T. W. Anderson, H. Rubin (1949). Estimation of the parameters of a single
       equation in a complete system of stochastic equations. Annals of Mathematical
       Statistics 20.
    """
    check_alpha(alpha)
    n, k = Z.shape
    freedom = n - k - n_controls
    unit = np.std(y) / np.std(t)
    y, t = y / np.std(y), t / np.std(t)
    Q, _ = np.linalg.qr(Z)
    gy, gt = Q.T @ y, Q.T @ t
    sy, st = Q * (y - Q @ gy)[:, None], Q * (t - Q @ gt)[:, None]
    critical = k * f_distribution.ppf(1 - alpha, k, freedom) * n / freedom
    cross = sy.T @ st
    # critical * Omega(b) - g(b) g(b)' = A0 + b A1 + b² A2
    A0 = critical * sy.T @ sy - np.outer(gy, gy)
    A1 = -critical * (cross + cross.T) + np.outer(gy, gt) + np.outer(gt, gy)
    A2 = critical * st.T @ st - np.outer(gt, gt)
    none, one = np.zeros((k, k)), np.eye(k)
    left, right = [[none, one], [-A0, -A1]], [[one, none], [none, A2]]
    roots = eig(np.block(left), np.block(right), right=False)
    roots = roots[np.isfinite(roots)]
    real = np.unique(roots[np.abs(roots.imag) <= 1e-6 * (1 + np.abs(roots))].real)
    edges = np.concatenate([[-np.inf], real, [np.inf]])
    far = 1 + np.abs(real).max(initial=0.0)
    within = np.concatenate([[-far], (real[1:] + real[:-1]) / 2, [far]])
    out = []
    for low, high, b in zip(edges[:-1], edges[1:], within if len(real) else [0.0]):
        # all eigenvalues positive: g' Omega^-1 g is below the critical value
        if np.linalg.eigvalsh(A0 + b * A1 + b * b * A2)[0] >= 0:
            if out and out[-1][1] == low * unit:
                low = out.pop()[0]
            out.append((float(low * unit), float(high * unit)))
    return out


class InstrumentEffect:
    """Effect of one treatment by instruments.

    An instrument moves the treatment, shares no unmeasured cause with the outcome given
    the controls, and acts on the outcome through the treatment alone. That does not
    identify P(y | do(t)): a number follows only from a further assumption, which is

    - "2sls": effects that are linear in the dose and, given X, the same in all rows,
      controls that act linearly; or, for a binary treatment and instrument moving
      nobody the wrong way (monotonicity), the mean effect among those it moves, a
      local effect [1]_;
    - "ortho_iv": the same, with controls of any form: residuals of y, t and the
      instruments by cross-fitted regressions, their effect linear in X [2]_; several
      instruments enter as their prediction of t;
    - "dmliv": as "ortho_iv", the treatment replaced by its prediction from instruments
      and controls: efficient where this one is nonlinear, without intervals unless
      ``n_bootstrap`` is given, 100 say.

    Parameters
    ----------
    method : {"2sls", "ortho_iv", "dmliv"}
    outcome_model, treatment_model, instrument_model : estimator, list, or None
        Nuisance regressions of "ortho_iv" and "dmliv".
    cv : int
    n_bootstrap : int
        Fits for the intervals of "dmliv"; 0 for none.
    random_state : int

    Attributes
    ----------
    f_ : float
        Effective first-stage F (:func:`effective_f`), linear in the controls.
    coef_, covariance_ : ndarray of shape (1 + q,), (1 + q, 1 + q)
        "2sls" alone: effect of one unit at the mean of X and its slopes.

    References
    ----------
    .. [1] G. Imbens, J. Angrist (1994). Identification and estimation of local average
       treatment effects. Econometrica 62.
    .. [2] V. Chernozhukov et al. (2018). Double/debiased machine learning for treatment
       and structural parameters. Econometrics Journal 21.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> Z, u = rng.normal(size=(2, 1000))
    >>> t = Z + u + rng.normal(size=1000)
    >>> y = 2 * t + 3 * u + rng.normal(size=1000)
    >>> model = InstrumentEffect().fit(y, t, Z)
    >>> low, high = model.ate_interval()
    >>> bool(low < 2 < high), bool(model.f_ > 100)
    (True, True)
    """

    def __init__(
        self, method="2sls", *, outcome_model=None, treatment_model=None,
        instrument_model=None, cv=5, n_bootstrap=0, random_state=0,
    ):  # fmt: skip
        self.method = method
        self.outcome_model = outcome_model
        self.treatment_model = treatment_model
        self.instrument_model = instrument_model
        self.cv = cv
        self.n_bootstrap = n_bootstrap
        self.random_state = random_state

    def fit(self, y, t, Z, W=None, X=None):
        """Fit.

        Parameters
        ----------
        y, t : array-like of shape (n,)
            Outcome and treatment, numbers.
        Z : array-like of shape (n, k)
            Instruments.
        W : array-like of shape (n, p), optional
            Controls.
        X : array-like of shape (n, q), optional
            Effect modifiers, controlled for too.

        Raises
        ------
        ValueError
            An unknown method, missing values, or instruments that, given the controls,
            do not vary or repeat one another.

        Warns
        -----
        UserWarning
            An effective F below 10.
        """
        if self.method not in METHODS:
            raise ValueError(f"method={self.method!r} is none of {METHODS}.")
        y, t = np.ravel(np.asarray(y, float)), np.ravel(np.asarray(t, float))
        n = len(y)
        for name, value in (("y", y), ("t", t)):
            if not np.isfinite(value).all():
                raise ValueError(f"{name} has missing or infinite values.")
        if len(t) != n:
            raise ValueError(f"y has {n} rows and the treatment {len(t)}.")
        Z, W, X = as_table("Z", Z, n), as_table("W", W, n), as_table("X", X, n)
        if Z is None:
            raise ValueError("No instrument was given.")
        self.X_, self.n_rows_ = X, n
        self._center = None if X is None else X.mean(0)
        controls = [np.ones((n, 1))] + [v for v in (W, X) if v is not None]
        C = np.column_stack(controls)
        C = C[:, _independent(C)]
        self._y, self._t, self._Z = (residualize(v, C) for v in (y, t, Z))
        self._n_controls = C.shape[1]
        kept = _independent(self._Z, scale=Z.std(0))
        if len(kept) < Z.shape[1]:
            lost = sorted(set(range(Z.shape[1])) - set(kept))
            raise ValueError(
                f"Instrument column {lost[0]} does not vary once the controls and the "
                "instruments before it are held fixed: leave it out."
            )
        self.f_ = effective_f(self._t, self._Z, n_controls=self._n_controls)
        if self.f_ < WEAK:
            warn_user(
                f"Weak instruments: the effective first-stage F is {self.f_:.2f}, "
                f"below {WEAK:g}. The estimate is biased, its interval too short: see "
                "anderson_rubin_interval(), which holds at any strength."
            )
        if self.method == "2sls":
            self._fit_two_stage(y, t, Z, X, C)
        else:
            self._fit_econml(y, t, Z, W, X)
        return self

    def _fit_two_stage(self, y, t, Z, X, C):
        D, instruments = t[:, None], Z
        if X is not None:
            by = np.column_stack([np.ones(len(y)), X - self._center])
            D = t[:, None] * by
            instruments = (Z[:, :, None] * by[:, None, :]).reshape(len(y), -1)
        instruments = residualize(instruments, C)
        instruments = instruments[:, _independent(instruments)]
        self.coef_, self.covariance_ = two_stage(
            residualize(y, C), residualize(D, C), instruments, n_controls=C.shape[1]
        )

    def _fit_econml(self, y, t, Z, W, X):
        from econml.iv.dml import DMLIV, OrthoIV

        seed = self.random_state

        def model(given):
            # several treatments or instruments: EconML needs one model for all columns
            given = nuisance_regressors()[:1] if given is None else given
            return nuisance(given, discrete=False, seed=seed)

        common = {
            "model_y_xw": model(self.outcome_model),
            "model_t_xw": model(self.treatment_model),
            "cv": self.cv,
            "random_state": seed,
        }
        if W is None and X is None:
            W = np.zeros((len(y), 1))  # EconML's first stages want a column
        inference = "auto"
        if self.method == "dmliv":
            from econml.inference import BootstrapInference

            estimator = DMLIV(model_t_xwz=model(self.treatment_model), **common)
            if self.n_bootstrap:
                inference = BootstrapInference(self.n_bootstrap, n_jobs=1)
        elif Z.shape[1] > 1:
            estimator = OrthoIV(
                projection=True, model_t_xwz=model(self.treatment_model), **common
            )
        else:
            estimator = OrthoIV(model_z_xw=model(self.instrument_model), **common)
        self._econml = EconMLEffect(estimator, inference=inference, random_state=seed)
        self._econml.fit(y, t, X, W, Z=Z)

    def _design(self, X):
        """(m, 1 + q): one and the modifiers less their means."""
        if self.X_ is None:
            return np.ones((self.n_rows_ if X is None else len(X), 1))
        X = self.X_ if X is None else as_table("X", X, len(X))
        return np.column_stack([np.ones(len(X)), X - self._center])

    def effect(self, X=None, t0=0, t1=1):
        """Effect of t1 rather than t0 in each row of X (those of fit when None)."""
        if self.method != "2sls":
            return self._econml.effect(X, t0, t1)
        return (t1 - t0) * self._design(X) @ self.coef_

    def effect_interval(self, X=None, alpha=0.05, t0=0, t1=1):
        """Bounds of :meth:`effect` at level 1 - alpha.

        Raises
        ------
        ValueError
            "dmliv" without ``n_bootstrap``.
        """
        self._check_interval()
        if self.method != "2sls":
            return self._econml.effect_interval(X, alpha, t0, t1)
        design, effect = self._design(X), self.effect(X, t0, t1)
        error = np.sqrt(np.sum(design @ self.covariance_ * design, 1)) * abs(t1 - t0)
        return normal_interval(effect, error, alpha)

    def ate(self, X=None, t0=0, t1=1):
        """Mean effect over the rows of X, or over those of fit."""
        return float(self.effect(X, t0, t1).mean())

    def ate_interval(self, X=None, alpha=0.05, t0=0, t1=1):
        """Bounds of the mean effect.

        For X given over exactly these rows; for None the rows of fit are a sample, and
        the error of their mean counts too.
        """
        self._check_interval()
        if self.method != "2sls":
            return self._econml.ate_interval(X, alpha, t0, t1)
        mean, effect = self._design(X).mean(0), self.effect(X, t0, t1)
        variance = (t1 - t0) ** 2 * mean @ self.covariance_ @ mean
        if X is None:
            variance += effect.var() / len(effect)
        low, high = normal_interval(effect.mean(), np.sqrt(variance), alpha)
        return float(low), float(high)

    def _check_interval(self):
        if self.method == "dmliv" and not self.n_bootstrap:
            raise ValueError(
                'method="dmliv" has no interval of its own: set n_bootstrap=100, or '
                'use "ortho_iv".'
            )

    def anderson_rubin_set(self, alpha=0.05, t0=0, t1=1):
        """Disjoint intervals of :func:`anderson_rubin_set`, for t1 rather than t0."""
        found = anderson_rubin_set(
            self._y, self._t, self._Z, alpha, n_controls=self._n_controls
        )
        step = t1 - t0
        return sorted(tuple(sorted((a * step, b * step))) for a, b in found)

    def anderson_rubin_interval(self, alpha=0.05, t0=0, t1=1):
        """Shortest interval around :meth:`anderson_rubin_set`, valid if weak.

        One effect for all rows and controls that act linearly are assumed. Bounds are
        infinite where the instruments say too little; both are nan where every effect
        is rejected.
        """
        found = self.anderson_rubin_set(alpha, t0, t1)
        return (found[0][0], found[-1][1]) if found else (np.nan, np.nan)


def _independent(A, scale=None):
    """Columns that are no combination of those before them."""
    scale = np.linalg.norm(A, axis=0) if scale is None else scale * np.sqrt(len(A))
    R = np.linalg.qr(A, mode="r")
    size = np.zeros(A.shape[1])
    size[: len(R)] = np.abs(np.diag(R))
    return np.flatnonzero(size > 1e-9 * np.maximum(scale, 1e-300))
