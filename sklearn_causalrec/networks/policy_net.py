"""Objectives under which a network is a policy, and training with them."""

import numpy as np
import torch
from scipy.special import softmax
from torch import nn

from sklearn_causalrec.networks.ensemble import DOUBLE_ROWS, INPUTS, as_tensors
from sklearn_causalrec.networks.net import (
    INFERENCE_ROWS,
    CausalNet,
    SliceLoader,
    held_out_rows,
    make_net,
    rows_a_batch,
    seeded,
    training_callbacks,
)
from sklearn_causalrec.networks.objectives import weighted_mean

POLICY_OBJECTIVES = ("ips", "offset_ips", "poem", "banditnet")
# Below this deviation of the gains the bound on it would be too steep to follow.
LEAST_DEVIATION = 1e-6


def importance(logits, batch):
    """pi(a | x) / p of the arm taken, the weight of every row; (n,)."""
    log_policy = logits.log_softmax(1)
    taken = log_policy.gather(1, batch["treatment"].unsqueeze(1))[:, 0]
    return taken.exp() / batch["propensity"]


def snips(reward, weight):
    """Self-normalised value sum(w r) / sum(w); NaN where all weights are 0."""
    total = weight.sum()
    return float((weight * reward).sum() / total) if total > 0 else float("nan")


class PolicyObjective(nn.Module):
    r"""What a policy is estimated to lose on a log, to be minimised.

    A network gives the policy :math:`\pi(a|x)`, the softmax of its outputs. With
    :math:`p_i` the logged probability of the arm :math:`a_i` taken,
    :math:`w_i = \pi(a_i|x_i) / p_i` and a translated reward :math:`r_i`, all
    objectives are

    .. math:: -\frac1n \sum_i r_i \min(w_i, M)
              + \lambda \sqrt{\widehat{\mathrm{Var}}(r_i \min(w_i, M)) / n},

    and they differ in the reward and in :math:`\lambda`. All assume that the logged
    probabilities are right and that whatever the policy may do could be logged:
    :math:`p > 0` for every arm. None undoes a logging policy that saw more than X
    unless its probabilities are the logged ones.

    "ips"
        r = y, :math:`\lambda = 0`: clipped inverse propensity scoring [1]_, [2]_.
        Unbiased up to clipping, but the weights of a policy fitted to few rows do not
        average to 1: with rewards above 0 it gains by seeking what was logged, with
        rewards below 0 by avoiding it, whatever the rewards are. This is propensity
        overfitting [3]_, and it makes the choice depend on where y has its zero. Wrong
        where rewards do not lie around 0; a baseline.
    "offset_ips"
        r = y - mean y, :math:`\lambda = 0`. In expectation nothing changes, as w has
        mean 1: it is the doubly robust estimate whose model is a constant [4]_. Adding
        a constant to y leaves the choice. Wrong where no one offset fits, as where
        most contexts earn more than the mean and their logged arms attract, or less
        and repel: propensity overfitting again. Its variance is that of 1 / p.
    "poem"
        r = (y - min y) / (max y - min y), :math:`\lambda` = ``variance_penalty``:
        policy optimizer for exponential models [2]_, whose losses are in [-1, 0].
        Stays near the log where the log says little. Wrong where the logging policy is
        poor or even: rewards above 0 attract to it as in "ips", and the penalty does
        so once more.
    "banditnet"
        r = y - :math:`\mu`, :math:`\lambda = 0`, with the multiplier :math:`\mu` of a
        grid whose policy has the best self-normalised value
        :math:`\sum_i w_i y_i / \sum_i w_i` on the validation rows [5]_: the policy
        with the best such value is the best for the :math:`\mu` equal to it. Adding a
        constant to y leaves the choice. Wrong where few rows are held out: the choice
        of :math:`\mu` is noise then, and the fit takes as many times as long as the
        grid has values.

    Clipping at M holds for rewards above 0 only, so that it makes no policy look
    better than it does without, as in [2]_, where none are below. Clipped rows of a
    reward below 0 would not push the policy away from a mistake.

    The square root is of all rows. In batches, its bound from the start of the epoch
    stands for it, as in [2]_: equal to it there, in value and gradient, and above it
    elsewhere.

    Parameters
    ----------
    clip : float or None
        M.
    variance_penalty : float
        :math:`\lambda`.
    n_rows : float
        n, the weight of all rows.

    References
    ----------
    .. [1] Bottou, L. et al. (2013). "Counterfactual reasoning and learning systems:
       the example of computational advertising." JMLR 14.
    .. [2] Swaminathan, A. and Joachims, T. (2015). "Batch learning from logged bandit
       feedback through counterfactual risk minimization." JMLR 16.
    .. [3] Swaminathan, A. and Joachims, T. (2015). "The self-normalized estimator for
       counterfactual learning." NeurIPS.
    .. [4] Dudik, M., Langford, J. and Li, L. (2011). "Doubly robust policy evaluation
       and learning." ICML.
    .. [5] Joachims, T., Swaminathan, A. and de Rijke, M. (2018). "Deep learning with
       logged bandit feedback." ICLR.
    """

    def __init__(self, clip=None, variance_penalty=0.0, n_rows=1.0):
        super().__init__()
        self.clip = clip
        self.variance_penalty = variance_penalty
        self.n_rows = n_rows
        self.moments = None

    def gains(self, reward, weight):
        """The clipped r w of every row."""
        if self.clip is None:
            return reward * weight
        return reward * torch.where(reward > 0, weight.clamp(max=self.clip), weight)

    def _moments(self, gains, rows):
        mean = weighted_mean(gains, rows)
        return mean, weighted_mean((gains - mean).square(), rows)

    def _penalty_rate(self):
        return self.variance_penalty / self.n_rows**0.5

    def risk(self, reward, weight, rows=None):
        """The objective over all rows at once."""
        mean, variance = self._moments(self.gains(reward, weight), rows)
        return self._penalty_rate() * variance.sqrt() - mean

    def expand_at(self, reward, weight, rows=None):
        """Bound the deviation from where the policy stands."""
        mean, variance = self._moments(self.gains(reward, weight), rows)
        self.moments = mean.item(), max(variance.sqrt().item(), LEAST_DEVIATION)

    def forward(self, output, reward, batch, pairs=None):
        """Loss of a batch: its part of the objective, or of the bound on it.

        Parameters
        ----------
        output : Output of the n rows
        reward : tensor of shape (n,)
        batch : dict of tensors of shape (n,)
            treatment, propensity, and weight (mean 1 over the log; absent where all
            are 1).
        """
        rows = batch.get("weight")
        gains = self.gains(reward, importance(output.outcome, batch))
        loss = -weighted_mean(gains, rows)
        if self.variance_penalty:
            mean, deviation = self.moments
            # sqrt(V) <= s + (V - s^2) / 2s, and V <= E (u - m)^2 for any m.
            spread = weighted_mean((gains - mean).square(), rows)
            bound = (spread / deviation + deviation) / 2
            loss = loss + self._penalty_rate() * bound
        self.outcome_loss = loss.detach()
        return loss


class PolicyNet(CausalNet):
    """skorch net whose network is a policy; the validation score is its SNIPS value."""

    @torch.no_grad()
    def weighted_rows(self, iterator):
        """Reward, importance weight and row weight of all rows, three tensors."""
        self._set_training(False)
        parts = []
        for batch, reward in iterator:
            weight = importance(self.infer(batch).outcome.cpu(), batch)
            rows = batch.get("weight", torch.ones_like(weight))
            parts.append((reward, weight, rows))
        return [torch.cat(part) for part in zip(*parts)]

    def on_epoch_begin(self, net, dataset_train=None, **kwargs):
        super().on_epoch_begin(net, **kwargs)
        if self.criterion_.variance_penalty:
            log = SliceLoader(dataset_train, INFERENCE_ROWS)
            self.criterion_.expand_at(*self.weighted_rows(log))

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """As in skorch, without a history record and a notification a batch."""
        if iterator is None:
            return
        if not training:
            reward, weight, rows = self.weighted_rows(iterator)
            risk = self.criterion_.risk(reward, weight, rows / rows.mean())
            self.history.record(f"{prefix}_loss", float(risk))
            self.history.record("valid_score", snips(reward, rows * weight))
            return
        losses, sizes = [], []
        for batch in iterator:
            step_fn(batch, **fit_params)
            losses.append(self.criterion_.outcome_loss)
            sizes.append(len(batch[1]))
        losses = torch.stack(losses).double().cpu().numpy()
        self.history.record(f"{prefix}_loss", float(np.average(losses, weights=sizes)))

    def policy(self, rows):
        """Probability of every arm for each of the Rows, (n, n_arms)."""
        X = as_tensors(rows)[0]
        X = {k: X[k] for k in INPUTS if k in X}
        return softmax(self.outputs(X)[0].astype(np.float64), axis=1)

    def value(self, rows):
        """Self-normalised value of the policy on rows of a log."""
        taken = self.policy(rows)[np.arange(len(rows)), rows.arm]
        return snips(rows.y, rows.weight * taken / rows.propensity)


class PolicyTraining:
    """A net for each translation of the reward, of which the best stays.

    Parameters
    ----------
    settings : dict
        Parameters of the estimator, by name.
    encoder : LogEncoder
    device : str
    """

    def __init__(self, settings, encoder, device):
        self.settings = settings
        self.encoder = encoder
        self.device = device

    def translations(self, rows):
        """Pairs of an offset and a scale of the reward, one for each net."""
        mean, scale = self.encoder.y_mean, self.encoder.y_scale
        objective = self.settings["objective"]
        if objective == "poem":
            low, high = float(rows.y.min()), float(rows.y.max())
            return [(low, high - low if high > low else 1.0)]
        if objective == "banditnet":
            multipliers = self.settings["multipliers"]
            return [(mean + scale * float(m), scale) for m in multipliers]
        return [(0.0 if objective == "ips" else mean, scale)]

    def run(self, rows, seed, step):
        """Train from one seed, and choose by the self-normalised value.

        Parameters
        ----------
        rows : Rows
            Of which a part is held out, and judges, where training may stop early.
        seed : int
        step : callable
            Called with the record of each epoch.

        Returns
        -------
        net : PolicyNet
        offset : float
            What was taken from its rewards.
        history : list of dict
            A record an epoch and net.
        """
        kept, held_out = np.arange(len(rows)), self._held_out(rows, seed)
        judges = rows if held_out is None else rows.take(held_out)
        best, history = None, []
        for member, (offset, scale) in enumerate(self.translations(rows)):
            reward = (rows.y - offset) / scale
            net, records = self._train(rows, reward, seed, kept, held_out, step)
            for record in records:
                record["valid_score"] = offset + scale * record["valid_score"]
                history.append({"member": member, **record})
            value = net.value(judges)
            if best is None or value > best[0]:
                best = value, net, offset
        return *best[1:], history

    def _held_out(self, rows, seed):
        early = self.settings["early_stopping"]
        early = len(rows) >= 400 if early == "auto" else early
        if not early or self.settings["max_epochs"] == 1:
            return None
        kept, fraction = np.arange(len(rows)), self.settings["validation_fraction"]
        return held_out_rows(rows, kept, fraction, seed)

    def _train(self, rows, reward, seed, kept, held_out, step):
        s = self.settings
        dtype = torch.float64 if len(rows) <= DOUBLE_ROWS else torch.float32
        X, reward = as_tensors(rows, reward, dtype)
        patience = None if held_out is None else s["n_iter_no_change"]
        schedule, epochs = s["learning_rate_schedule"], s["max_epochs"]
        with seeded(seed, self.device):
            net = self._net(rows).to(dtype)
            records = net.train(
                X,
                reward,
                kept,
                held_out,
                callbacks=training_callbacks(
                    schedule, epochs, patience, s["tol"], "abs"
                ),
                epochs=epochs,
                draw_pairs=None,
                progress=step,
            )
        return net, records

    def _net(self, rows):
        s, encoder = self.settings, self.encoder
        names = ("hidden_layer_sizes", "embedding_dim", "activation", "dropout")
        module = {name: s[name] for name in names}
        module.update(
            n_features=rows.features.shape[1],
            n_users=len(encoder.users),
            n_items=len(encoder.items),
            n_arms=encoder.n_arms,
            mean=encoder.mean,
            scale=encoder.scale,
            exposure=False,
        )
        penalty = s["variance_penalty"] if s["objective"] == "poem" else 0.0
        objective = dict(clip=s["clip"], variance_penalty=penalty, n_rows=rows.total)
        names = ("optimizer", "learning_rate", "momentum", "l1", "l2")
        return make_net(
            module,
            objective,
            batch_size=rows_a_batch(s["batch_size"], len(rows)),
            device=self.device,
            n_rows=rows.total,
            net_class=PolicyNet,
            criterion=PolicyObjective,
            **{name: s[name] for name in names},
        )
