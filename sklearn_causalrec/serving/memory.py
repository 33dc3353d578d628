"""Checks of what compiled code reads without looking: trees and sparse matrices.

Compiled trees follow the numbers of their nodes without asking whether they lead
anywhere. A file is checked when it is opened, so that a wrong number is an error and
no crash.
"""

import numpy as np


def _need(right, what):
    if not np.all(right):
        raise ValueError(f"{what} point outside of what they belong to")


def checked_tree(n_features, n_classes, n_outputs, state):
    """A ``Tree`` of scikit-learn whose nodes lead to leaves.

    Parameters
    ----------
    n_features, n_outputs : int
    n_classes : ndarray of shape (n_outputs,)
    state : dict

    Returns
    -------
    Tree
    """
    from sklearn.tree._tree import Tree

    n_classes = np.ascontiguousarray(n_classes, dtype=np.intp)
    if n_classes.shape != (n_outputs,) or not (n_classes > 0).all():
        raise ValueError("a tree has other outputs than it says")
    nodes, n = state["nodes"], state["node_count"]
    if not 0 < n == len(nodes):
        raise ValueError("a tree has other nodes than it says")
    tree = Tree(n_features, n_classes, n_outputs)
    tree.__setstate__(state)
    at = np.arange(n)
    left, right, feature = tree.children_left, tree.children_right, tree.feature
    inner = left != -1
    _need((right != -1) == inner, "children of a tree")
    for child in (left[inner], right[inner]):
        _need((child > at[inner]) & (child < n), "children of a tree")
    _need((feature[inner] >= 0) & (feature[inner] < n_features), "features of a tree")
    return tree


def _check_boosted(model):
    """Every node of every tree, in ``HistGradientBoosting``."""
    stages = vars(model).get("_predictors", [])
    if not stages:
        return
    mapper = vars(model).get("_bin_mapper")
    categorical = np.zeros(model.n_features_in_, bool)
    if mapper is not None:
        categorical = np.asarray(mapper.is_categorical_, bool)
    if categorical.shape != (model.n_features_in_,):
        raise ValueError("boosted trees have other features than they say")
    _check_nodes([predictor for stage in stages for predictor in stage], categorical)


def _check_nodes(predictors, categorical):
    """Every node leads to one of its tree, and asks for a feature that there is."""
    if not predictors:
        return
    # All at once: a model has thousands of trees.
    parts = [predictor.nodes for predictor in predictors]
    sizes = [len(part) for part in parts]
    dtype = parts[0].dtype
    if any(part.dtype != dtype or part.ndim != 1 for part in parts):
        raise ValueError("the trees have nodes of several kinds")
    # np.concatenate would compare the fields of each two.
    nodes = np.frombuffer(b"".join(part.tobytes() for part in parts), dtype)
    inner = np.flatnonzero(nodes["is_leaf"] == 0)
    size, starts = np.repeat(sizes, sizes), np.cumsum(sizes) - sizes
    at = np.arange(len(nodes)) - np.repeat(starts, sizes)
    for side in ("left", "right"):
        child = nodes[side][inner].astype(np.int64)
        _need((child > at[inner]) & (child < size[inner]), "children of a tree")
    _need(np.array(sizes) > 0, "a tree without nodes")
    feature = nodes["feature_idx"][inner]
    _need((feature >= 0) & (feature < len(categorical)), "features of a tree")
    split = inner[nodes["is_categorical"][inner] != 0]
    _need(categorical[nodes["feature_idx"][split]], "categorical splits")
    for side in ("raw_left_cat_bitsets", "binned_left_cat_bitsets"):
        sets = [getattr(predictor, side) for predictor in predictors]
        if any(s.ndim != 2 or s.shape[1] != 8 or s.dtype != np.uint32 for s in sets):
            raise ValueError("the sets of categories of a tree have another shape")
        lengths = np.repeat([len(s) for s in sets], sizes)
        _need(nodes["bitset_idx"][split] < lengths[split], "categorical splits")


def _check_binned(model):
    """Every node of every tree that was boosted on bins."""
    n_features = len(np.ravel(vars(model).get("n_bins_", ())))
    _check_nodes(vars(model).get("predictors_", ()), np.zeros(n_features, bool))


def _check_bins(mapper):
    """Categories are bits of a set of 256."""
    known = vars(mapper)
    categorical = np.asarray(known.get("is_categorical_", []), bool)
    for values, is_category in zip(
        known.get("bin_thresholds_", []), categorical, strict=True
    ):
        if is_category:
            values = np.asarray(values)
            _need((values >= 0) & (values < 256), "categories")


def _check_trees(model):
    """Trees of a forest read no feature that the forest does not."""
    parts = np.ravel(np.asarray(vars(model).get("estimators_", [model]), dtype=object))
    for part in parts:
        tree = getattr(part, "tree_", None)
        if tree is not None:
            _need(tree.n_features <= model.n_features_in_, "features of a tree")


def _check_sparse(matrix):
    if hasattr(matrix, "check_format"):
        matrix.check_format(full_check=True)
    else:
        matrix._check()


PACKAGE = __name__.split(".")[0]
_BOOSTED = "sklearn.ensemble._hist_gradient_boosting"
CHECKS = {
    f"{_BOOSTED}.gradient_boosting.BaseHistGradientBoosting": _check_boosted,
    f"{_BOOSTED}.binning._BinMapper": _check_bins,
    f"{PACKAGE}.effects.boosting.BinnedTrees": _check_binned,
    "sklearn.tree._classes.BaseDecisionTree": _check_trees,
    "sklearn.ensemble._base.BaseEnsemble": _check_trees,
    "scipy.sparse._base._spbase": _check_sparse,
}
