"""Which types travel in a file: a closed list, which no file can add to.

A file names types; this module says whether a name is one of the list, and finds the
type. An object of a type is made without a call of its ``__init__``, so a name in a
file runs nothing. Of functions, few are on the list, and none with side effects.
"""

from importlib import import_module
from importlib.util import find_spec

PACKAGE = __name__.split(".")[0]

# All classes of these parts of the package.
ROOMS = (
    "baselines",
    "causal",
    "do_effect",
    "effects",
    "encoding",
    "interactions",
    "networks",
    "policy",
    "privacy",
    "ranking",
    "recommender",
)

# All estimators and splitters that these modules publish. Left out are modules whose
# estimators hold memory that nothing checks: neighbors, svm, cluster.
SKLEARN = (
    "calibration",
    "compose",
    "covariance",
    "cross_decomposition",
    "decomposition",
    "discriminant_analysis",
    "dummy",
    "ensemble",
    "feature_extraction.text",
    "feature_selection",
    "impute",
    "isotonic",
    "kernel_approximation",
    "kernel_ridge",
    "linear_model",
    "model_selection",
    "multiclass",
    "multioutput",
    "naive_bayes",
    "neural_network",
    "pipeline",
    "preprocessing",
    "random_projection",
    "tree",
)

# Classes by the module that they are found in.
CLASSES = {
    "builtins": "bool dict float int list set str tuple",
    "collections": "OrderedDict",
    "numpy": "bool_ float32 float64 int32 int64 object_ str_",
    "scipy.sparse": ("coo_array coo_matrix csc_array csc_matrix csr_array csr_matrix"),
    "sklearn._loss.link": (
        "HalfLogitLink IdentityLink Interval LogLink LogitLink MultinomialLogit"
    ),
    "sklearn._loss.loss": (
        "AbsoluteError ExponentialLoss HalfBinomialLoss HalfGammaLoss "
        "HalfMultinomialLoss HalfPoissonLoss HalfSquaredError HalfTweedieLoss "
        "HuberLoss PinballLoss"
    ),
    "sklearn.calibration": "_CalibratedClassifier _SigmoidCalibration",
    "sklearn.compose._column_transformer": "_RemainderColsList make_column_selector",
    "sklearn.ensemble._hist_gradient_boosting.binning": "_BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor": "TreePredictor",
    "sklearn.metrics._scorer": "_PassthroughScorer _Scorer",
    "sklearn.neural_network._stochastic_optimizers": "AdamOptimizer SGDOptimizer",
    "sklearn.preprocessing._label": "LabelBinarizer LabelEncoder",
    "sklearn.utils": "Bunch",
    "sklearn.utils._metadata_requests": (
        "MetadataRequest MethodMetadataRequest MethodMapping MetadataRouter"
    ),
    "skorch.dataset": "Dataset",
    f"{PACKAGE}.serving.flat_networks": "FlatNetwork FlatNetworks",
    f"{PACKAGE}.serving.index": "EffectIndex",
    f"{PACKAGE}.serving.landmarks": "Landmarks",
    f"{PACKAGE}.serving.scorer": "CompiledScorer",
    "skorch.history": "History",
    "torch.nn": (
        "Dropout ELU Embedding GELU GRU Identity LSTM LayerNorm Linear ModuleList "
        "MultiheadAttention ReLU Sequential Tanh TransformerEncoder "
        "TransformerEncoderLayer"
    ),
    "torch.nn.modules.linear": "NonDynamicallyQuantizableLinear",
    "torch.optim": "Adam SGD",
    "econml.dml": "LinearDML SparseLinearDML NonParamDML KernelDML",
    "econml.dml.dml": "_FinalWrapper _FirstStageSelector _FirstStageWrapper",
    "econml.dml._rlearner": "_ModelFinal _ModelNuisance",
    "econml.dr": "LinearDRLearner SparseLinearDRLearner DRLearner",
    "econml.dr._drlearner": "_ModelFinal _ModelNuisance",
    "econml.inference._inference": (
        "GenericModelFinalInference GenericSingleTreatmentModelFinalInference "
        "LinearModelFinalInference StatsModelsInference StatsModelsInferenceDiscrete"
    ),
    "econml.sklearn_extensions.linear_model": (
        "DebiasedLasso MultiOutputDebiasedLasso StatsModelsLinearRegression "
        "WeightedLasso WeightedLassoCV WeightedLassoCVWrapper "
        "WeightedMultiTaskLassoCV SelectiveRegularization"
    ),
    "econml.sklearn_extensions.model_selection": (
        "FixedModelSelector ListSelector SklearnCVSelector SingleModelSelector"
    ),
    "econml.validate.sensitivity_analysis": "SensitivityParams",
}

# Functions that an attribute may hold: they compute, and touch nothing else.
FUNCTIONS = {
    f"{PACKAGE}.networks.objectives.base": "log_loss squared_error",
    "econml.utilities": "add_intercept",
    "scipy._lib.array_api_compat.numpy._aliases": "asarray",
    "sklearn.utils.validation": "check_array",
    "skorch.setter": "optimizer_setter",
    "skorch.utils": "noop",
    "sklearn.feature_selection": (
        "chi2 f_classif f_regression mutual_info_classif mutual_info_regression "
        "r_regression"
    ),
    "torch.nn.functional": "gelu relu",
}
# All functions that these modules publish in ``__all__``.
PUBLIC_FUNCTIONS = ("sklearn.metrics",)

# Old name -> new name of what has moved since a file was written.
MOVED = {
    f"{PACKAGE}.effects.learners:{name}": f"{PACKAGE}.effects.additive:{name}"
    for name in ("AdditiveLasso", "AdditiveLogit")
}


class NotTrustedError(ValueError):
    """A name that is not on the list, or a value that has no such name."""


def find(name):
    """The type or function of a name in a file, if it is on the list.

    Parameters
    ----------
    name : str
        Module and name, with a colon between them.

    Returns
    -------
    type or callable

    Raises
    ------
    NotTrustedError
        If the name is not on the list. No module outside the list is imported.
    ImportError
        If the name is on the list, and its package is not installed.
    """
    if not isinstance(name, str) or name.count(":") != 1:
        raise NotTrustedError(f"{name!r} is no name of a type.")
    name = MOVED.get(name, name)
    module, _, attribute = name.partition(":")
    if not attribute.isidentifier() or attribute.startswith("__"):
        raise NotTrustedError(f"{name!r} is no name of a type.")
    if attribute in (CLASSES.get(module, "") + " " + FUNCTIONS.get(module, "")).split():
        found = getattr(import_module(module), attribute, None)
        if found is not None:  # versions of a package differ
            return found
    elif _is_own(module):
        found = getattr(import_module(module), attribute, None)
        if isinstance(found, type) and _is_own(found.__module__):
            return found
    elif module.startswith("sklearn.") and module[8:] in SKLEARN:
        found = getattr(import_module(module), attribute, None)
        if not attribute.startswith("_") and _is_estimator(found):
            return found
    elif module in PUBLIC_FUNCTIONS:
        home = import_module(module)
        found = getattr(home, attribute, None) if attribute in home.__all__ else None
        if callable(found) and not isinstance(found, type):
            return found
    elif module == "numpy":
        import numpy as np

        found = getattr(np, attribute, None)
        if isinstance(found, np.ufunc):
            return found
    raise NotTrustedError(f"{name} is not a type that files may hold.")


def name_of(value):
    """The name of a type or function by which :func:`find` finds it again.

    Parameters
    ----------
    value : type or callable
        Of this process.

    Returns
    -------
    str

    Raises
    ------
    NotTrustedError
        If it is not on the list.
    """
    module = getattr(value, "__module__", None) or "numpy"
    attribute = getattr(value, "__qualname__", getattr(value, "__name__", ""))
    # A public module may stand for the private one that the type is defined in.
    homes = [module]
    parts = module.split(".")
    homes += [".".join(parts[:k]) for k in range(len(parts) - 1, 0, -1)]
    homes += [m for m in FUNCTIONS if m.split(".")[0] in (parts[0], "torch")]
    for home in homes:
        name = f"{home}:{attribute}"
        try:
            if find(name) is value:
                return name
        except (NotTrustedError, ImportError):
            continue
    raise NotTrustedError(f"{module}.{attribute}")


def _is_own(module):
    """Whether a module is one of the rooms' whose classes travel."""
    package, _, rest = str(module).partition(".")
    if package != PACKAGE or rest.split(".")[0] not in ROOMS:
        return False
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _is_estimator(found):
    from sklearn.base import BaseEstimator
    from sklearn.model_selection import BaseCrossValidator, BaseShuffleSplit

    bases = (BaseEstimator, BaseCrossValidator, BaseShuffleSplit)
    return isinstance(found, type) and issubclass(found, bases)
