"""Objectives that impute the outcome of the arms that a row did not have."""

import torch

from sklearn_causalrec.networks.objectives.base import (
    OBJECTIVES,
    factual,
    mean_error,
    weighted_mean,
)
from sklearn_causalrec.networks.objectives.weighted import IPS, SNIPS


@OBJECTIVES.register("dr")
class DoublyRobust(IPS):
    """Doubly robust joint learning: w = 1{T = t} / g_t, e from an imputation [1]_.

    The outcome term is the mean over rows and arms of e_t + w_t (l_t - e_t). The
    imputed outcome is a head of the network, learned at the same time with the weight
    w. With one arm, e is averaged over the pairs drawn.

    It assumes what "ips" does, *or* that the imputation is right. It is wrong
    where both models are, and can then be worse than "naive".

    See Also
    --------
    MRDR : An imputation for the least variance.
    StableDR : Self-normalised weights, and an exposure that balances.
    TDR : An imputed loss that leaves nothing to correct in a batch.
    sklearn_causalrec.networks.objectives.escm2.ESCM2 :
        The same for conversions after a click.

    References
    ----------
    .. [1] Wang, X. et al. (2019). "Doubly robust joint learning for recommendation on
       data missing not at random." ICML.
    """

    imputes = True

    def outcome_term(self, rows, output, batch, pairs):
        """The mean over rows and arms of e + w (l - e)."""
        if output.imputation is None:  # one arm, and no pairs to impute for
            return super().outcome_term(rows, output, batch, pairs)
        loss = mean_error(self.error, rows.predicted, rows.y, rows.weight)
        everywhere, logged = self.imputed_losses(rows, output, batch, pairs)
        weight = batch.get("weight") if self._drawn(pairs) is None else None
        loss = loss + weighted_mean(everywhere.sum(1), weight)
        loss = loss - weighted_mean(logged, rows.weight)
        return loss / self.n_arms

    def further_terms(self, rows, output, batch, pairs):
        """The loss of the imputation head, and then that of the exposure head."""
        if output.imputation is not None:
            imputation = self._factual_imputation(rows, output, batch)
            weight = self.imputation_weight(rows, output, batch)
            yield mean_error(self.error, imputation, rows.y, weight) / self.n_arms
        yield from super().further_terms(rows, output, batch, pairs)

    def imputation_weight(self, rows, output, batch):
        """Weight of the loss of the imputation of each row: here w, 1 / g.

        Parameters
        ----------
        rows : Factual
            The rows as they were logged.
        output : Output
            What the network says of the n rows.
        batch : dict of tensors of shape (n,)
            The rows, as in :meth:`forward`.

        Returns
        -------
        tensor of shape (n,)
            The weights, without gradient.
        """
        return rows.weight

    def imputed_losses(self, rows, output, batch, pairs):
        """The losses e against the imputed outcomes.

        Parameters
        ----------
        rows : Factual
            The rows as they were logged.
        output : Output
            What the network says of the n rows.
        batch : dict of tensors of shape (n,)
            The rows, as in :meth:`forward`.
        pairs : Output or None
            What it says of the pairs drawn, if there are any.

        Returns
        -------
        everywhere : tensor of shape (n, n_arms)
            Of every arm of the rows; with one arm, of the pairs drawn.
        logged : tensor of shape (n,)
            Of the arm that each row had.
        """
        source = self._drawn(pairs)
        source = output if source is None else source
        everywhere = self.error(source.outcome, self._label(source.imputation))
        imputation = self._factual_imputation(rows, output, batch)
        return everywhere, self.error(rows.predicted, self._label(imputation))

    def _drawn(self, pairs):
        """The pairs drawn that e is averaged over; None: the rows themselves."""
        return pairs if self.n_arms == 1 else None

    def _factual_imputation(self, rows, output, batch):
        """What is imputed for the arm of each row, shifted as its prediction is."""
        imputation = factual(output.imputation, batch)
        return imputation if rows.shift is None else imputation + rows.shift.detach()

    def _label(self, link):
        """The imputed outcome on the scale of y, without gradient."""
        return (link.sigmoid() if self.binary else link).detach()


@OBJECTIVES.register("mrdr")
class MRDR(DoublyRobust):
    """More robust doubly robust: the imputation has weight w (1 - g) / g [1]_.

    This weight minimises the variance that the imputation leaves in the outcome term.
    It assumes what "dr" does. It is wrong where the exposure is too
    small to be squared.

    See Also
    --------
    DoublyRobust : The imputation with weight w.

    References
    ----------
    .. [1] Guo, S. et al. (2021). "Enhanced doubly robust learning for debiasing
       post-click conversion rate estimation." SIGIR.
    """

    def imputation_weight(self, rows, output, batch):
        """The weight w (1 - g) / g of each row."""
        ratio = self.exposure_ratio(output, batch).detach()
        return rows.weight * (1 - self.share * ratio).clamp(min=0.0) / ratio


@OBJECTIVES.register("stable_dr")
class StableDR(DoublyRobust, SNIPS):
    """Stable doubly robust: self-normalised weights, and an exposure that balances.

    The exposure head is made to balance the imputed loss, by the square of the mean
    of (e - mean e) / g [1]_. It assumes what "dr" does, and is for
    small exposures. A bias remains where no logged pair is like some of the others.

    See Also
    --------
    DoublyRobust : The weights as they are.
    sklearn_causalrec.networks.objectives.weighted.SNIPS :
        The same weights without an imputation.

    References
    ----------
    .. [1] Li, H., Zheng, C. and Wu, P. (2023). "StableDR: stabilized doubly robust
       learning for recommendation on data missing not at random." ICLR.
    """

    def further_terms(self, rows, output, batch, pairs):
        """Those of "dr", with the balance before the loss of the exposure head."""
        *before, exposure_loss = super().further_terms(rows, output, batch, pairs)
        yield from before
        if output.imputation is not None:
            yield self._balance(rows, output, batch, pairs)
        yield exposure_loss

    def _balance(self, rows, output, batch, pairs):
        with torch.no_grad():
            everywhere, logged = self.imputed_losses(rows, output, batch, pairs)
            excess = logged - everywhere.mean(0)[batch["arm"]]
        return (excess / self.exposure_ratio(output, batch)).mean().square()


@OBJECTIVES.register("tdr")
class TDR(DoublyRobust):
    """Targeted doubly robust: the imputed loss is e_t + eta_t (1 / g_t - 1) [1]_.

    With eta_t, the weighted mean over the rows of arm t of (1 / g_t - 1) (l_t - e_t)
    is zero in every batch: the loss is the mean of l where it was seen and of the
    imputed loss elsewhere, which has a smaller variance than "dr" where some g are
    small. It assumes what "dr" does. It is wrong for batches with few rows of an arm,
    whose eta is then of few rows.

    See Also
    --------
    DoublyRobust : The imputed loss as it is.
    StableDR : Self-normalised weights, and an exposure that balances.

    Notes
    -----
    eta is a least-squares slope,

        eta_t = sum v_t (l_t - e_t) / sum v_t^2,    v_t = 1 / g_t - 1,

    over the rows of arm t. It depends on the prediction, and the gradient of the loss
    goes through it: were it a constant, the gradient would be that of "dr". So the
    correction of "dr", the mean of v_t (l_t - e_t) over the rows of arm t, counts times
    the sum of v_t over the rows of other arms, over that of v_t^2 over the rows of arm
    t. This factor is 1 on average where g is right.

    With one arm, g is the share of all pairs that was logged times the density ratio,
    and the pairs drawn stand for all pairs. What they need is a head that knows their
    ratio: with any other ``exposure_model`` the objective is "dr".

    References
    ----------
    .. [1] Li, H., Lyu, Y., Zheng, C. and Wu, P. (2023). "TDR-CL: targeted doubly robust
       collaborative learning for debiased recommendations." ICLR.
    """

    def imputed_losses(self, rows, output, batch, pairs):
        """Those of "dr", each with eta (1 / g - 1) added.

        Parameters
        ----------
        rows : Factual
            The rows as they were logged.
        output : Output
            What the network says of the n rows.
        batch : dict of tensors of shape (n,)
            The rows, as in :meth:`forward`.
        pairs : Output or None
            What it says of the pairs drawn, if there are any.

        Returns
        -------
        everywhere : tensor of shape (n, n_arms)
            Of every arm of the rows; with one arm, of the pairs drawn.
        logged : tensor of shape (n,)
            Of the arm that each row had.
        """
        everywhere, logged = super().imputed_losses(rows, output, batch, pairs)
        ratio = self.exposure_ratio(output, batch).detach()
        of_all = self._exposure_of_all(ratio, output, batch, pairs)
        if of_all is None:
            return everywhere, logged
        odds, odds_of_all = self._odds(ratio), self._odds(of_all)
        had = torch.nn.functional.one_hot(batch["arm"], self.n_arms).to(odds.dtype)
        rest = self.error(rows.predicted, rows.y) - logged
        weighted = odds if "weight" not in batch else batch["weight"] * odds
        squares = (weighted * odds) @ had
        # An arm that no row of the batch had, or all rows surely, has nothing to mend.
        eta = (weighted * rest) @ had / squares.where(squares > 0, 1.0)
        return everywhere + eta * odds_of_all, logged + eta[batch["arm"]] * odds

    def _odds(self, ratio):
        """1 / g - 1, of the probability or of the density ratio of the exposure."""
        return 1 / (self.share * ratio).clamp(max=1.0) - 1

    def _exposure_of_all(self, ratio, output, batch, pairs):
        """The exposure of every arm of the rows, (n, n_arms); with one arm, of the
        pairs drawn, (n, 1); None where nothing knows it."""
        if self.n_arms == 1:
            if pairs.exposure is None:
                return None
            return pairs.exposure.detach().exp().clamp(min=self.clip)
        arm = batch["arm"].unsqueeze(1)
        of_all = output.exposure.detach().softmax(1)
        known = batch.get("propensity")
        if known is not None:  # the other arms share what is left of it
            rest = 1 - of_all.gather(1, arm)[:, 0]
            share = ((1 - ratio) / rest.clamp(min=1e-12)).unsqueeze(1)
            of_all = torch.where(known.isnan().unsqueeze(1), of_all, share * of_all)
        return of_all.scatter(1, arm, ratio.unsqueeze(1)).clamp(min=self.clip)
