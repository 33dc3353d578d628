"""Boosted trees on bins that were found before.

The trees are those of scikit-learn's histogram boosting, grown by its grower; what its
estimators do before (each fit copies the rows in double precision, and looks for the
bins of the bins) is a third of the time of a boosting as short as the second stage's.
"""

import numpy as np
from scipy.special import expit, logit
from sklearn import __version__
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.utils.fixes import parse_version

try:
    from sklearn.ensemble._hist_gradient_boosting.grower import TreeGrower
except ImportError:
    TreeGrower = None
# The grower is no public part of scikit-learn: versions that it was not tried with get
# their trees from the estimators, as before, in half as much time again.
if not parse_version("1.9") <= parse_version(__version__) < parse_version("1.10"):
    TreeGrower = None

# A bin begins between two codes: nodes tell it as scikit-learn's do of such features.
_BETWEEN = np.arange(256) + 0.5
# No code: rows have no missing values.
_MISSING = np.uint8(255)


class BinnedTrees:
    """Gradient boosting of small trees, for a mean or a probability.

    Parameters
    ----------
    max_iter : int, default=100
        Trees at most.
    learning_rate : float, default=0.1
        Of what a leaf says, the share that counts.
    max_leaf_nodes : int, default=8
        Leaves of a tree at most.
    max_features : float, default=1.0
        Share of the features that a split chooses from.
    classify : bool, default=False
        Whether the target is 0 and 1, and its probability is asked for.
    random_state : int, default=0
        Draws features.

    Attributes
    ----------
    baseline_ : float
        What is predicted without a tree: a mean, or log odds.
    n_bins_ : ndarray of int of shape (p,)
        Bins of each feature.
    predictors_ : list
        A fitted tree each, as scikit-learn has them.
    """

    def __init__(
        self, *, max_iter=100, learning_rate=0.1, max_leaf_nodes=8, max_features=1.0,
        classify=False, random_state=0,
    ):  # fmt: skip
        self.max_iter = max_iter
        self.learning_rate = learning_rate
        self.max_leaf_nodes = max_leaf_nodes
        self.max_features = max_features
        self.classify = classify
        self.random_state = random_state

    def fit(self, codes, y, sample_weight=None):
        """Grow the trees.

        Parameters
        ----------
        codes : ndarray of uint8 of shape (n, p)
            Bins of the features, below 255.
        y : ndarray of shape (n,)
        sample_weight : ndarray of shape (n,), optional

        Returns
        -------
        BinnedTrees
            Itself.
        """
        if TreeGrower is None:
            return self._by_estimator(codes, y, sample_weight)
        n = len(y)
        y = np.asarray(y, float)
        w = np.ones(n) if sample_weight is None else np.asarray(sample_weight, float)
        w = w / w.mean()
        if not self.classify and (w == 1).all():
            w = np.ones(1)
        codes = np.asfortranarray(codes)
        mean = np.average(y, weights=np.broadcast_to(w, y.shape))
        self.baseline_ = float(logit(mean) if self.classify else mean)
        self.n_bins_ = codes.max(axis=0).astype(np.uint32) + 1
        # of no more bins than there are, and one of missing values, which no row has
        n_bins = int(self.n_bins_.max()) + 1
        self.predictors_ = []
        rng = np.random.default_rng(self.random_state)
        raw = np.full(len(y), self.baseline_)
        for _ in range(self.max_iter):
            hessians = w
            if self.classify:
                p = expit(raw)
                gradients, hessians = w * (p - y), w * p * (1 - p)
            else:
                gradients = w * (raw - y)
            grower = TreeGrower(
                codes,
                gradients.astype(np.float32),
                hessians.astype(np.float32),
                max_leaf_nodes=self.max_leaf_nodes,
                n_bins=n_bins,
                n_bins_non_missing=self.n_bins_,
                feature_fraction_per_split=self.max_features,
                rng=rng,
                shrinkage=self.learning_rate,
                n_threads=1,
            )
            grower.grow()
            thresholds = [_BETWEEN] * codes.shape[1]
            tree = grower.make_predictor(binning_thresholds=thresholds)
            self.predictors_.append(tree)
            for leaf in grower.finalized_leaves:
                raw[leaf.sample_indices] += leaf.value
        return self

    def _by_estimator(self, codes, y, sample_weight):
        kind = HistGradientBoostingRegressor
        if self.classify:
            kind = HistGradientBoostingClassifier
        model = kind(
            max_iter=self.max_iter, learning_rate=self.learning_rate,
            max_leaf_nodes=self.max_leaf_nodes, max_features=self.max_features,
            early_stopping=False, random_state=self.random_state,
        )  # fmt: skip
        found = self.of_histogram_boosting(model.fit(codes, y, sample_weight))
        for name in ("baseline_", "n_bins_", "predictors_"):
            setattr(self, name, getattr(found, name))
        return self

    @classmethod
    def of_histogram_boosting(cls, trees):
        """The trees of scikit-learn's estimator that was fitted on codes.

        Parameters
        ----------
        trees : HistGradientBoostingRegressor or HistGradientBoostingClassifier
            Fitted; of two classes.

        Returns
        -------
        BinnedTrees
        """
        found = cls(classify=hasattr(trees, "predict_proba"))
        found.baseline_ = float(np.ravel(trees._baseline_prediction)[0])
        found.n_bins_ = np.full(trees.n_features_in_, 256, np.uint32)
        found.predictors_ = [tree for (tree,) in trees._predictors]
        for tree in found.predictors_:
            # its own bins were those of the codes that it saw
            inner = tree.nodes["is_leaf"] == 0
            between = np.floor(tree.nodes["num_threshold"][inner])
            tree.nodes["bin_threshold"][inner] = between.astype(np.uint8)
        return found

    def predict(self, codes):
        """Means, or probabilities.

        Parameters
        ----------
        codes : ndarray of uint8 of shape (n, p)

        Returns
        -------
        ndarray of float64 of shape (n,)

        Raises
        ------
        ValueError
            If there are other features than in ``fit``; compiled code reads on.
        """
        if codes.shape[1] != len(self.n_bins_):
            raise ValueError(
                f"codes have {codes.shape[1]} columns, and the trees were grown on "
                f"{len(self.n_bins_)}."
            )
        raw = np.full(len(codes), self.baseline_)
        for tree in self.predictors_:
            raw += tree.predict_binned(codes, _MISSING, 1)
        return expit(raw) if self.classify else raw
