"""The contract of every scikit-learn estimator."""

import os
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

from sklearn_causalrec import (
    CausalDNNRecommender,
    CounterfactualPolicy,
    DoCalculusEffect,
)
from sklearn_causalrec.baselines import (
    EASE,
    BlendRecommender,
    GlobalMean,
    ImplicitALS,
    NeighborhoodRecommender,
    Popularity,
    UserItemBias,
)
from sklearn_causalrec.effects.stacked import StackedEffect
from sklearn_causalrec.interactions import (
    CalendarFeatures,
    DenseVectors,
    HistorySequence,
    PastAggregates,
    TextBag,
    TextEmbedding,
)
from sklearn_causalrec.privacy import Generalizer, Pseudonymizer


def arm_of(X):
    """An arm for each row, a function of the row: the checks pass X and y alone."""
    rows = np.asarray(X)
    arm = np.zeros(len(rows) if rows.ndim else 0, bool)
    if rows.ndim == 2 and rows.dtype.kind in "iuf" and rows.shape[1]:
        with np.errstate(invalid="ignore"):
            arm = np.sin(1e3 * rows[:, 0].astype(float)) > 0
    if len(arm) > 1 and len(np.unique(arm)) < 2:
        arm[0] = not arm[0]
    return arm


class PolicyOfRows(CounterfactualPolicy):
    def fit(self, X, y=None, sample_weight=None):
        arm = arm_of(X)
        known = np.full(len(arm), 0.5)
        return super().fit(X, y, arm, known, sample_weight=sample_weight)

    def score(self, X, y, sample_weight=None):
        arm = np.resize(self.arms_, len(X))
        known = np.full(len(X), 0.5)
        return super().score(X, y, arm, known, sample_weight=sample_weight)


class StageOfRows(StackedEffect):
    def fit(self, X, y=None, sample_weight=None):
        arm = arm_of(X).astype(float)
        fold = np.argsort(np.argsort(arm, kind="stable")) % 2  # an arm's rows in turn
        return super().fit(X, y, arm, sample_weight=sample_weight, fold=fold)


class Letters:
    """A model of texts by the number of their letters."""

    def __repr__(self):
        return "Letters()"

    def encode(self, texts):
        return np.array([[len(text), text.count("o")] for text in texts], float)


WITH_TREATMENT = [
    CausalDNNRecommender(task="regression"),
    CausalDNNRecommender(task="classification"),
    DoCalculusEffect(),
    PolicyOfRows(objective="offset_ips", max_epochs=5),
]
BASELINES = [
    make(task=task)
    for make in (GlobalMean, Popularity, UserItemBias)
    for task in ("regression", "classification")
]
POSITIVES = [EASE(), ImplicitALS(), NeighborhoodRecommender(), BlendRecommender()]
os.environ["KEY_OF_TEST_COMMON"] = bytes(range(32)).hex()
TRANSFORMERS = {
    "user item": [Generalizer(k=2), Pseudonymizer(key="env:KEY_OF_TEST_COMMON")],
    "user item time": [
        PastAggregates(by=("user", "item", "pair")),
        HistorySequence(length=2),
        HistorySequence(length=2, padded=True),
    ],
    "user item time kind": [PastAggregates(event="kind")],
    "title": [
        TextBag(),
        TextBag(n_components=2, random_state=0),
        TextEmbedding(Letters()),
    ],
    "time": [CalendarFeatures()],
    "image": [DenseVectors()],
}
LOG = pd.DataFrame(
    {
        "user": ["a", "b", "a", "a", "b"],
        "item": ["x", "x", "y", "x", "z"],
        "time": pd.to_datetime(["2024-01-05", "2024-01-01", "2024-01-02",
                                "2024-01-03", "2024-01-02"]),
        "kind": ["click", "buy", "click", "buy", "click"],
        "title": ["golden story", "two golden", "quiet story", "golden", ""],
        "image": [[1.0, 2.0], [3.0, 4.0], None, [5.0, 6.0], [7.0, 8.0]],
    }
)  # fmt: skip


def values_of(X):
    """The entries, which may be vectors or lists, as text."""
    dense = X.toarray() if hasattr(X, "toarray") else X
    return [str(value) for value in np.asarray(dense, object).ravel()]


def not_for(estimator):
    """Checks that make no sense for the input an estimator takes, with the reason."""
    folds = {
        "check_sample_weight_equivalence_on_dense_data": (
            "a row of weight 2 lies in one fold, two rows of weight 1 in two"
        )
    }
    if isinstance(estimator, DoCalculusEffect):
        return folds
    if not isinstance(estimator, StageOfRows):
        return {}
    validated = "the estimators that use the stage have validated its rows"
    return {
        **folds,
        **dict.fromkeys(
            ["check_fit2d_1feature", "check_sample_weights_not_an_array"],
            "of a dozen rows, an arm has fewer than two in a fold",
        ),
        **dict.fromkeys(
            [
                "check_n_features_in",
                "check_n_features_in_after_fitting",
                "check_complex_data",
                "check_dtype_object",
                "check_estimators_empty_data_messages",
                "check_estimator_sparse_tag",
                "check_estimator_sparse_array",
                "check_estimator_sparse_matrix",
                "check_fit2d_1sample",
                "check_sample_weights_shape",
                "check_sample_weights_pandas_series",
                "check_all_zero_sample_weights_error",
            ],
            validated,
        ),
    }


@parametrize_with_checks(
    [
        *WITH_TREATMENT,
        *BASELINES,
        *POSITIVES,
        StageOfRows(n_jobs=1, random_state=0),
    ],
    expected_failed_checks=not_for,
)
def test_sklearn_compatible(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", WITH_TREATMENT, ids=repr)
def test_sklearn_compatible_with_routing(estimator):
    with config_context(enable_metadata_routing=True):
        check_estimator(
            estimator, on_skip=None, expected_failed_checks=not_for(estimator)
        )


# scikit-learn feeds its checks arrays of numbers, and skips most of them for estimators
# that read columns of ids, times, texts or vectors by name. The rest is checked here.
@pytest.mark.parametrize(
    ("transformer", "columns"),
    [
        (each, columns.split())
        for columns, many in TRANSFORMERS.items()
        for each in many
    ],
    ids=lambda value: repr(value) if hasattr(value, "fit") else "",
)
class TestTransformers:
    @pytest.mark.parametrize(
        "check",
        [
            "check_estimator_cloneable",
            "check_estimator_repr",
            "check_valid_tag_types",
            "check_no_attributes_set_in_init",
            "check_parameters_default_constructible",
            "check_get_params_invariance",
            "check_set_params",
            "check_mixin_order",
        ],
    )
    def test_parameters(self, transformer, columns, check):
        getattr(estimator_checks, check)(type(transformer).__name__, clone(transformer))

    def test_fit_is_a_function_of_its_arguments(self, transformer, columns):
        X = LOG[columns]
        fitted = clone(transformer)
        given = fitted.get_params()
        before = X.copy(deep=True)
        assert fitted.fit(X) is fitted
        pd.testing.assert_frame_equal(X, before)
        assert all(fitted.get_params()[name] is given[name] for name in given)
        once = values_of(fitted.transform(X))
        assert values_of(fitted.fit(X).transform(X)) == once
        other = clone(transformer).fit(X.iloc[::-1]).fit(X)
        assert values_of(other.transform(X)) == once
        pickled = pickle.loads(pickle.dumps(fitted))
        assert values_of(pickled.transform(X)) == once

    def test_columns_in_and_out(self, transformer, columns):
        X = LOG[columns]
        fitted = clone(transformer)
        with pytest.raises(NotFittedError):
            fitted.transform(X)
        fitted.set_output(transform="pandas").fit(X)
        out = fitted.transform(X)
        assert fitted.n_features_in_ == len(columns)
        assert list(fitted.feature_names_in_) == columns
        assert list(out.columns) == list(fitted.get_feature_names_out())
        assert len(out) == len(X)
        with pytest.raises(ValueError):
            fitted.transform(X.rename(columns={columns[0]: "another"}))


def test_unknown_name():
    import sklearn_causalrec

    with pytest.raises(AttributeError, match="no attribute 'CausalRNN'"):
        sklearn_causalrec.CausalRNN  # noqa: B018
