"""Objectives that weigh rows by the inverse of their exposure."""

from sklearn_causalrec.networks.objectives.base import OBJECTIVES, Objective


@OBJECTIVES.register("ips")
class IPS(Objective):
    """Inverse propensity scoring: w = 1{T = t} / g_t, e = 0 [1]_.

    It assumes that the exposure depends on X alone, and that every arm is possible
    everywhere. It is wrong where the exposure is nearly certain, or follows the
    outcome itself.

    See Also
    --------
    SNIPS : The same with weights of mean 1.
    sklearn_causalrec.networks.objectives.doubly_robust.DoublyRobust :
        The same with an imputed outcome.

    References
    ----------
    .. [1] Schnabel, T. et al. (2016). "Recommendations as treatments." ICML.
    """

    exposure = "ratio"
    pairs = "all"

    def row_weight(self, output, batch):
        """The inverse of the exposure, times the weight of the row."""
        weight = 1 / self.exposure_ratio(output, batch).detach()
        rows = batch.get("weight")
        return weight if rows is None else rows * weight

    def outcome_term(self, rows, output, batch, pairs):
        """The mean over rows and arms.

        Rows stand for an outcome of every arm here. Division by the number of arms
        keeps the scale, so that l1 and l2 mean the same in all objectives.
        """
        return super().outcome_term(rows, output, batch, pairs) / self.n_arms


@OBJECTIVES.register("snips")
class SNIPS(IPS):
    """Self-normalised IPS: the weights of a batch are divided by their mean [1]_.

    It assumes what "ips" does. A common factor of all exposures does not
    matter. It is wrong for small batches too, as it is unbiased for large ones only.

    See Also
    --------
    IPS : The weights as they are.
    sklearn_causalrec.networks.objectives.doubly_robust.StableDR :
        The same weights with an imputed outcome.

    References
    ----------
    .. [1] Swaminathan, A. and Joachims, T. (2015). "The self-normalized estimator for
       counterfactual learning." NeurIPS.
    """

    def row_weight(self, output, batch):
        """The inverse of the exposure over its mean, times the weight of the row."""
        weight = super().row_weight(output, batch)
        rows = batch.get("weight")
        n = len(weight) if rows is None else rows.sum()
        return weight * (self.n_arms * n / weight.sum())
