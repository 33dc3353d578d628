"""Any regressor or classifier of scikit-learn's manners is a nuisance model."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils import all_estimators
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_causalrec import DoCalculusEffect
from sklearn_causalrec.effects.cross_fitting import CrossFit, stratified_folds

SEVERAL_TARGETS = {
    "CCA", "MultiTaskElasticNet", "MultiTaskElasticNetCV", "MultiTaskLasso",
    "MultiTaskLassoCV", "PLSCanonical",
}  # fmt: skip
OTHER_INPUTS = {
    "CategoricalNB", "ComplementNB", "IsotonicRegression", "MultinomialNB",
    "RadiusNeighborsClassifier", "RadiusNeighborsRegressor",
}  # fmt: skip
NO_PROBABILITY = {
    "LinearSVC", "NuSVC", "PassiveAggressiveClassifier", "Perceptron",
    "RidgeClassifier",
    "RidgeClassifierCV", "SGDClassifier", "SVC", "SelfTrainingClassifier",
}  # fmt: skip


class _InContext(BaseEstimator):
    """Like TabPFN: ``fit`` keeps the rows, ``predict`` reads them and the new ones.

    Nothing else: no sample_weight, no random_state, no score.
    """

    def fit(self, X, y):
        self.context_ = validate_data(self, X, y)
        return self

    def _attention(self, X):
        check_is_fitted(self, "context_")
        X = validate_data(self, X, reset=False)
        apart = ((X[:, None] - self.context_[0]) ** 2).sum(-1)
        weight = np.exp(-2 * apart) + 1e-12
        return weight / weight.sum(1, keepdims=True)


class InContextRegressor(RegressorMixin, _InContext):
    def predict(self, X):
        return self._attention(X) @ self.context_[1]


class InContextClassifier(ClassifierMixin, _InContext):
    def fit(self, X, y):
        self.classes_, codes = np.unique(y, return_inverse=True)
        return super().fit(X, codes)

    def predict_proba(self, X):
        one_hot = np.eye(len(self.classes_))[self.context_[1].astype(int)]
        return self._attention(X) @ one_hot

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(1)]


@pytest.fixture(scope="module")
def log():
    rng = np.random.default_rng(4)
    X = rng.normal(size=(600, 2))
    t = rng.binomial(1, 1 / (1 + np.exp(-1.5 * X[:, 0])))
    y = 4 + np.sin(2 * X[:, 0]) + t + 0.3 * rng.normal(size=600)
    return X, y, t


def of_kind(kind, left_out):
    found = []
    for name, model in all_estimators(type_filter=kind):
        if name not in left_out:
            try:
                found.append(pytest.param(model(), id=name))
            except TypeError:  # it is made of other estimators
                continue
    return found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model", of_kind("regressor", SEVERAL_TARGETS | OTHER_INPUTS))
def test_every_regressor_predicts_the_outcome(model, log):
    X, y, t = (part[:90] for part in log)
    fold = stratified_folds(t, 3, np.random.RandomState(0))
    fitted = CrossFit([model], X, y, fold, rows=t == 1)
    assert np.isfinite(fitted(X)).all()
    assert fitted.at(X[:5]).shape == (5,)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model", of_kind("classifier", NO_PROBABILITY | OTHER_INPUTS))
def test_every_classifier_predicts_the_treatment(model, log):
    X, _, t = (part[:90] for part in log)
    fold = stratified_folds(t, 3, np.random.RandomState(0))
    p = CrossFit([model], X, t, fold, n_classes=2)(X)
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-6)
    assert p.min() >= 0


def test_models_that_read_their_context(log):
    X, y, t = log
    models = dict(
        outcome_model=InContextRegressor(), treatment_model=InContextClassifier()
    )
    model = clone(DoCalculusEffect(random_state=0, **models)).fit(X, y, treatment=t)
    low, high = model.ate_interval()
    assert low < 1 < high and high - low < 0.4
    naive = y[t == 1].mean() - y[t == 0].mean()
    assert naive > high  # so that the models had something to correct
    assert np.abs(model.effect(X[:50]) - 1).mean() < 0.3


def test_what_a_model_cannot_do_is_said(log):
    X, y, t = log
    weight = np.ones(len(y))
    weight[:9] = 2
    for name, plain in (
        ("outcome_model", KNeighborsRegressor()),
        ("treatment_model", make_pipeline(StandardScaler(), KNeighborsClassifier())),
    ):
        model = DoCalculusEffect(**{name: plain})
        with pytest.raises(ValueError, match="takes no sample_weight"):
            model.fit(X, y, treatment=t, sample_weight=weight).ate()
    model = DoCalculusEffect(treatment_model=LinearSVC())
    with pytest.raises(ValueError, match=r"LinearSVC has no predict_proba"):
        model.fit(X, y, treatment=t).ate()
