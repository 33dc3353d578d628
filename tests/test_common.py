"""The contract of every scikit-learn estimator."""

import subprocess
import sys

import pytest
from sklearn import config_context
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

from sklearn_causalrec import CausalDNNRecommender, DoCalculusEffect

ESTIMATORS = [
    CausalDNNRecommender(task="regression"),
    CausalDNNRecommender(task="classification"),
    DoCalculusEffect(),
]


@parametrize_with_checks(ESTIMATORS)
def test_sklearn_compatible(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_sklearn_compatible_with_routing(estimator):
    with config_context(enable_metadata_routing=True):
        check_estimator(estimator, on_skip=None)


def test_import_is_lean():
    code = """
import sys
import sklearn_causalrec
heavy = {"torch", "skorch", "econml", "networkx", "matplotlib"} & set(sys.modules)
assert not heavy, heavy
assert "CausalDNNRecommender" in dir(sklearn_causalrec)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_unknown_name():
    import sklearn_causalrec

    with pytest.raises(AttributeError, match="no attribute 'CausalRNN'"):
        sklearn_causalrec.CausalRNN  # noqa: B018
