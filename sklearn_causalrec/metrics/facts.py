"""What a scorer can find out about the rows that it judges, and gives to its metric."""

from contextlib import nullcontext

import numpy as np
import pandas as pd
from sklearn.base import is_classifier

from sklearn_causalrec._utils.judging import NotScorableError, refusing
from sklearn_causalrec._utils.unwrap import unwrap
from sklearn_causalrec.effects.effect import effect
from sklearn_causalrec.encoding.arms import had_arm
from sklearn_causalrec.encoding.checks import column, probability
from sklearn_causalrec.encoding.contrasts import contrast_of, rows_of_two_arms
from sklearn_causalrec.metrics.effects import doubly_robust_scores
from sklearn_causalrec.metrics.nuisances import cross_fit_nuisances
from sklearn_causalrec.metrics.policies import recommender_policy

METADATA = ("treatment", "propensity", "users", "true_effect")

_ROLES = ("user", "item", "treatment", "propensity")


class RowMetadata:
    """What is known of the rows to be judged beside X and y.

    Parameters
    ----------
    metadata : dict
        What was passed, by the names in ``METADATA``.
    estimator : estimator
        The one whose parameters name columns of X by their roles.
    X : array-like
        The rows.
    n : int
        Number of rows.
    """

    def __init__(self, metadata, estimator, X, n):
        self._metadata, self._estimator = metadata, estimator
        self._X, self._n = X, n

    def get(self, name, role=None):
        """Metadata by its name, or the column of X that has the role; or None."""
        value = self.as_it_came(name, role)
        return None if value is None else np.asarray(value)

    def as_it_came(self, name, role=None):
        """The same in its container: categories may have an order."""
        value = self._metadata.get(name)
        if value is not None:
            return value
        key = getattr(self._estimator, role or name, None)
        if key is None:
            return None
        if hasattr(self._X, "columns"):
            if key in self._X.columns:
                return self._X[key]
        elif isinstance(key, (int, np.integer)):
            return np.asarray(self._X)[:, key]
        return None

    def need(self, name, role=None):
        """As :meth:`get`; what is missing, or of another length, is an error."""
        value = self.get(name, role)
        if value is None:
            raise NotScorableError(
                f"{name} is missing. Pass {name}= to the scorer; in cross_validate and "
                "GridSearchCV set_config(enable_metadata_routing=True) and pass "
                f"params={{'{name}': ...}} (to fit of a search: {name}=...), or name a "
                f"column of X as the estimator's {role or name}."
            )
        if len(value) != self._n:
            raise NotScorableError(
                f"{name} has {len(value)} values, and there are {self._n} rows."
            )
        if pd.isna(value).any():
            row = int(pd.isna(value).argmax())
            raise NotScorableError(f"{name} is missing in row {row}: drop the row.")
        return value


class Facts:
    """The rows to be judged, as metrics ask for them: every public method is a fact.

    Where a metric needs a fact about the two arms that are compared, all of its facts
    are of the rows that had one of them.

    Parameters
    ----------
    needs : collection of str
        The facts that will be asked for.
    fitted : estimator, Pipeline or search, fitted
        What is judged.
    X, y : array-like
        The rows to be judged.
    metadata : dict
        What came beside them, by the names in ``METADATA``.
    T0, T1 : scalar or None
        The arms that are compared. None are those that the estimator would.
    model, cv : regressor, int
        Of :func:`~sklearn_causalrec.metrics.nuisances.cross_fit_nuisances`.
    by : str
        Of :func:`~sklearn_causalrec.metrics.policies.recommender_policy`.
    """

    # Facts about two arms; those of them that models are fitted for.
    ARMS = {"treatment", "propensity", "outcomes", "outcome", "outcome_pred", "scores"}
    FITTED = {"outcomes", "outcome", "scores"}
    # What the judged model says: an error on the way to them can be its own.
    PREDICTED = {"effect_pred", "outcome_pred", "y_score", "policy"}
    # Parameters that say how facts are found, which no metric takes.
    PARAMETERS = {"model": FITTED, "cv": FITTED, "by": {"policy"}}

    def __init__(
        self, needs, fitted, X, y, metadata, T0, T1, model=None, cv=3, by=None
    ):
        self._fitted, self._X = fitted, X
        self._estimator = unwrap(fitted)[1]
        self._T0, self._T1, self._model, self._cv = T0, T1, model, cv
        self._by = by
        if is_classifier(fitted) and hasattr(self._estimator, "classes_"):
            y = np.asarray(y) == self._estimator.classes_[-1]
        self._y = column(y, "y")
        self._known = known = RowMetadata(metadata, self._estimator, X, len(self._y))
        self._get, self._need = known.get, known.need
        self._kept, self._nuisances = slice(None), None
        if self.ARMS.intersection(needs):
            self._keep_two_arms()
        if self.FITTED.intersection(needs):
            self._nuisances = self._cross_fit()

    # -- about every row ---------------------------------------------------------------

    def y(self):
        """Outcome."""
        return self._y[self._kept]

    def users(self):
        """Whose list the row belongs to."""
        return self._need("users", "user")[self._kept]

    def effect_pred(self):
        """Effect predicted."""
        one_arm = len(getattr(self._estimator, "arms_", ())) == 1
        arms = () if one_arm else self._arms()
        with refusing() if one_arm else nullcontext():  # treatment did not reach fit
            predicted = effect(self._fitted, self._X, *arms)
        return np.asarray(predicted)[self._kept]

    def effect_true(self):
        """True effect, which is known in simulations."""
        return self._need("true_effect")[self._kept]

    # -- about the rows that had one of two arms ---------------------------------------

    def treatment(self):
        """Whether the row had the second of the two arms."""
        return self._treated

    def propensity(self):
        """Probability of the arm taken: the known one, or None.

        Beside outcomes out of fold it is estimated where it is not known.
        """
        if self._nuisances is not None:
            return self._nuisances[1]
        known = self._get("propensity")
        return None if known is None else np.asarray(known, float)[self._kept]

    def outcomes(self):
        """Outcomes under both arms, predicted out of fold by models of these rows."""
        return self._nuisances[0]

    def outcome(self):
        """Expected outcome whatever the arm, out of fold."""
        outcomes, taken = self._nuisances
        chance = np.where(self._treated, taken, 1 - taken)
        return outcomes[:, 0] + chance * (outcomes[:, 1] - outcomes[:, 0])

    def outcome_pred(self):
        """Outcomes under both arms, predicted by what is judged."""
        own = [np.asarray(self._predicted(arm))[self._kept] for arm in self._arms()]
        return np.column_stack(own)

    def scores(self):
        """Doubly robust scores of the effect, from models out of fold."""
        outcomes, taken = self._nuisances
        return doubly_robust_scores(
            self.y(), self._treated, propensity=taken, outcomes=outcomes
        )

    # -- about lists by predicted outcome ----------------------------------------------

    def y_true(self):
        """Outcome of the rows that were shown; NaN, unobserved, in others."""
        return np.where(self._was_shown(), self._y, np.nan)

    def y_score(self):
        """Outcome predicted where the item is shown."""
        return self._predicted()

    def observed_propensity(self):
        """Probability of being shown where the row was; 1 in others."""
        n = len(self._y)
        taken = self._get("propensity")
        taken = probability(taken, "propensity", n, default=np.ones(n))
        return np.where(self._was_shown(), taken, 1.0)

    # -- about a policy ----------------------------------------------------------------

    def action(self):
        """Arm taken, one of any number."""
        return self._need("treatment")

    def logged_propensity(self):
        """Probability of the arm taken, which has to be known."""
        return self._need("propensity")

    def actions(self):
        """The arms that can be taken."""
        return getattr(self._estimator, "arms_", np.unique(self.action()))

    def policy(self):
        """Probabilities of the arms where the best predicted one is taken."""
        return recommender_policy(self._fitted, self._X, self.actions(), by=self._by)

    # ----------------------------------------------------------------------------------

    def _arms(self):
        """The two arms that are compared, as the estimator calls them."""
        return contrast_of(self._estimator, self._T0, self._T1)

    def _keep_two_arms(self):
        treatment = self._need("treatment")
        given = self._known.as_it_came("treatment")
        pair = (self._T0, self._T1)
        self._T0, self._T1 = contrast_of(self._estimator, *pair, treatment=given)
        found = rows_of_two_arms(treatment, self._T0, self._T1)
        self._kept, self._treated = found

    def _shown_arm(self):
        """The arm that stands for "shown"; None where there is one arm."""
        if len(getattr(self._estimator, "arms_", ())) < 2:
            return None
        # T1 alone matters: the control needn't be known where it is named.
        T0 = self._T1 if self._T0 is None else self._T0
        return contrast_of(self._estimator, T0, self._T1)[1]

    def _was_shown(self):
        """Whether the row had that arm; all rows where there is one arm."""
        shown = self._shown_arm()
        if shown is None:
            return np.ones(len(self._y), bool)
        return had_arm(self._need("treatment"), shown)

    def _predicted(self, arm=None):
        """Predicted outcome of every row under an arm; None: where it is shown."""
        transform, estimator = unwrap(self._fitted)
        arm = self._shown_arm() if arm is None else arm
        arm = {} if arm is None else {"treatment": arm}
        X = transform(self._X)
        if is_classifier(estimator):
            return estimator.predict_proba(X, **arm)[:, 1]
        return estimator.predict(X, **arm)

    def _cross_fit(self):
        """Cross-fitted outcomes and propensity, of all columns without a role in it."""
        X = self._X.to_pandas() if hasattr(self._X, "to_pandas") else self._X
        frame = pd.DataFrame(X).iloc[self._kept]
        of = {name: getattr(self._estimator, name, None) for name in _ROLES}
        hidden = [of[name] for name in ("treatment", "propensity") if of[name] in frame]
        return cross_fit_nuisances(
            frame.drop(columns=hidden),
            self.y(),
            self._treated,
            self.propensity(),
            ids=[of["user"], of["item"]],
            model=self._model,
            cv=self._cv,
        )


FACTS = tuple(name for name in vars(Facts) if name.islower() and name[0] != "_")
