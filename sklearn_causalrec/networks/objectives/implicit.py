"""The objective of positives alone: who chose what, against the catalogue."""

from dataclasses import dataclass
from functools import partial
from numbers import Integral, Real

import torch
from torch.nn.functional import softplus

from sklearn_causalrec.networks.objectives.base import (
    OBJECTIVES,
    Objective,
    weighted_mean,
)
from sklearn_causalrec.networks.requires import Requires

LOSSES = ("auto", "softmax", "sampled_softmax", "bpr")
# With "auto": up to so many items the whole catalogue is scored, and so many are drawn.
FULL_ITEMS = 20_000
SHARED, OWN = 2048, 8
POWER = 0.75  # of the counts that items are drawn by (Mikolov et al. 2013)


@dataclass(frozen=True)
class Implicit:
    """Options of ``objective="implicit"``, which learns lists from positives alone.

    Rows with y > 0 are positives, and y is their weight. Nothing is assumed of the
    pairs without a row: each positive is set against the other items, which are never
    made into rows.

    Parameters
    ----------
    loss : {"auto", "softmax", "sampled_softmax", "bpr"}, default="auto"
        What is minimised. "softmax" is the negative log-likelihood of the items that
        were chosen among all items of the catalogue. "sampled_softmax" [1]_ estimates
        its denominator from items that are drawn by popularity, whose scores are
        corrected by the logarithm of their probability [2]_; the user's own positives
        are never negatives. "bpr" [3]_ is the logistic loss of the difference between
        a positive and an item that was drawn evenly. "auto" is "softmax" up to 20,000
        items and "sampled_softmax" above.
    n_negatives : int or "auto", default="auto"
        The number of items that are drawn: for a whole batch with "sampled_softmax",
        for each positive with "bpr". "auto" is 2048 and 8.
    hard : bool, default=False
        Whether, of the items that are drawn for a positive, only the one with the
        highest score counts [4]_. It applies to "bpr".
    popularity : float, default=0.0
        How much of what is chosen is held to be due to popularity, and not to what is
        liked: the exponent of [6]_. While training, the score of an item is greater by
        so many times the logarithm of its number of positives; lists leave that out.
        With 0 nothing is corrected. With 1 an item that all take alike is as good as
        any other. Positives alone do not tell the right number.

    See Also
    --------
    sklearn_causalrec.CausalDNNRecommender : Takes it as its ``objective``.
    sklearn_causalrec.baselines.BlendRecommender : The default for lists from positives.

    Notes
    -----
    The number of the drawn item j enters "sampled_softmax" as its expectation does: for
    m draws from q, the denominator of a user with the positives P is
    ``sum over P of exp(s_i) + sum over draws not in P of exp(s_j) / (m q_j)``, which is
    that of "softmax" in expectation.

    With ``exposure_model="popularity"``, positives are weighed by the inverse of the
    propensity (n_i / max n) ** 0.5 of their item, as in relevance matrix factorisation
    [5]_; with ``propensity=`` by the inverse of the propensity given.

    References
    ----------
    .. [1] Bengio, Y. and Senecal, J.-S. (2008). "Adaptive importance sampling to
       accelerate training of a neural probabilistic language model." IEEE Transactions
       on Neural Networks 19(4).
    .. [2] Yi, X. et al. (2019). "Sampling-bias-corrected neural modeling for large
       corpus item recommendations." RecSys.
    .. [3] Rendle, S., Freudenthaler, C., Gantner, Z. and Schmidt-Thieme, L. (2009).
       "BPR: Bayesian personalized ranking from implicit feedback." UAI.
    .. [4] Zhang, W., Chen, T., Wang, J. and Yu, Y. (2013). "Optimizing top-n
       collaborative filtering via dynamic negative item sampling." SIGIR.
    .. [5] Saito, Y. et al. (2020). "Unbiased recommender learning from
       missing-not-at-random implicit feedback." WSDM.
    .. [6] Zhang, Y. et al. (2021). "Causal intervention for leveraging popularity bias
       in recommendation." SIGIR.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec import CausalDNNRecommender
    >>> from sklearn_causalrec.networks import Implicit
    >>> bought = [("u", "a"), ("u", "b"), ("v", "c"), ("v", "d"), ("w", "a")]
    >>> log = pd.DataFrame(bought, columns=["user", "item"])
    >>> model = CausalDNNRecommender(
    ...     user="user", item="item", encoder="mf", objective=Implicit(loss="bpr"),
    ...     l2=0.1, random_state=0,
    ... )
    >>> model.fit(log).recommend(["w"], k=1)["item"].tolist()
    ['b']
    """

    loss: str = "auto"
    n_negatives: int | str = "auto"
    hard: bool = False
    popularity: float = 0.0

    objective = "implicit"  # the name of the class that minimises it

    def __post_init__(self):
        if self.loss not in LOSSES:
            raise ValueError(f"loss is {self.loss!r}: choose one of {LOSSES}.")
        n = self.n_negatives
        if n != "auto" and (not isinstance(n, Integral) or n is True or n < 1):
            raise ValueError(
                f'n_negatives is {n!r}: a whole number above 0, or "auto".'
            )
        part = self.popularity
        if not isinstance(part, Real) or part is True or not 0 <= part <= 1:
            raise ValueError(f"popularity is {part!r}: a number from 0 to 1.")

    def of_catalogue(self, n_items):
        """Return the loss and the number of draws, with "auto" replaced.

        Parameters
        ----------
        n_items : int
            The number of items in the catalogue.

        Returns
        -------
        tuple of (str, int)
            The loss and the number of draws.
        """
        loss, n = self.loss, self.n_negatives
        if loss == "auto":
            loss = "softmax" if n_items <= FULL_ITEMS else "sampled_softmax"
        if n == "auto":
            n = OWN if loss == "bpr" else SHARED
        return loss, int(n)


def shared_draws(counts, n, generator):
    """Items drawn for a batch with the probability q, which grows with their counts.

    Parameters
    ----------
    counts : tensor of shape (n_items,)
        How many positives each item has.
    n : int
        The number of draws, with replacement.
    generator : torch.Generator
        What the draws come from.

    Returns
    -------
    drawn : tensor of shape (m,)
        Positions of the items that were drawn.
    log_weight : tensor of shape (m,)
        The logarithm of (times drawn) / (n q).
    """
    q = (counts + 1.0) ** POWER
    q = q / q.sum()
    drawn, times = torch.multinomial(
        q, n, replacement=True, generator=generator
    ).unique(return_counts=True)
    return drawn, (times / (n * q[drawn])).log()


def full_softmax(scores, query, item):
    """Negative log-likelihood of each positive, by the scores of all items."""
    return scores.logsumexp(1)[query] - scores[query, item]


def sampled_softmax(scores, own, query, item, drawn, log_weight, n_items):
    """As :func:`full_softmax`, with a denominator that is estimated.

    Parameters
    ----------
    scores : tensor of shape (n_queries, m)
        The scores of the items that were drawn.
    own : tensor of shape (n,)
        The scores of the positives.
    query, item : tensor of shape (n,)
        The query and the item of each positive.
    drawn, log_weight : tensor of shape (m,)
        As :func:`shared_draws` returns them.
    n_items : int
        The number of items.

    Returns
    -------
    tensor of shape (n,)
        The losses.
    """
    place = torch.full((n_items,), -1, device=scores.device)
    place[drawn] = torch.arange(len(drawn), device=scores.device)
    at = place[item]
    hit = at >= 0
    corrected = scores + log_weight
    corrected = corrected.index_put(
        (query[hit], at[hit]), corrected.new_tensor(-torch.inf)
    )
    rest = corrected.logsumexp(1)
    # The positives of a query, exactly: their sum, stable by the largest of them.
    top = own.new_full((len(scores),), -torch.inf)
    top = top.scatter_reduce(0, query, own.detach(), "amax")
    mass = torch.zeros_like(top).index_add(0, query, (own - top[query]).exp())
    total = torch.logaddexp(rest, top + mass.log())
    return total[query] - own


@OBJECTIVES.register("implicit")
class ImplicitLoss(Objective):
    """Positives against the catalogue: softmax, sampled softmax or BPR.

    The options are those of :class:`~sklearn_causalrec.networks.Implicit`, which says
    more. Scores order the items of one user. They are no outcomes.

    It assumes that what a user chose tells what the user likes, whatever was shown. It
    is wrong for the question what happens if an item is shown, which needs rows that
    were shown and not chosen: take "targeted" or "ips" there.

    See Also
    --------
    sklearn_causalrec.networks.Implicit : The options.
    sklearn_causalrec.networks.objectives.relmf.RelMF :
        Rows of all pairs, with y = 1 where there was a click.
    """

    requires = Requires(
        arms=(1, 1),
        numeric=True,
        roles=("user", "item"),
        words="the columns of users and items, user=… and item=…, no treatment, and "
        'task="regression": y > 0 marks and weighs what a user chose, and the '
        "probability of an outcome is not identified by it",
    )
    retrieves = True
    usual = {"embedding_dim": 64, "l2": 6.0}

    def __init__(self, n_arms, binary, clip, options=None, counts=None, **_):
        super().__init__(n_arms, binary, clip)
        self.options = Implicit() if options is None else options
        counts = torch.ones(1) if counts is None else counts
        self.register_buffer("counts", torch.as_tensor(counts, dtype=torch.float32))
        n_items = len(self.counts)
        self.loss, self.n_negatives = self.options.of_catalogue(n_items)

    def forward(self, queries, items, batch, generator):
        """The loss of a batch of queries.

        Parameters
        ----------
        queries : tensor of shape (n_queries, width)
            The vectors of the queries.
        items : callable
            ``items(positions)`` returns vectors and biases of items of the catalogue;
            of all with None.
        batch : dict of tensors of shape (n,)
            ``query`` and ``item``, the positions of each positive's query and of its
            item in the catalogue; ``weight``, absent where all are 1.
        generator : torch.Generator
            What negatives are drawn from.

        Returns
        -------
        tensor
            A scalar.
        """
        if self.options.popularity:
            items = partial(self._with_popularity, items)
        losses = getattr(self, f"_{self.loss}")(queries, items, batch, generator)
        loss = weighted_mean(losses, batch.get("weight"))
        self.outcome_loss = loss.detach()
        return loss

    def _with_popularity(self, items, positions):
        """Items whose biases have a part that is not learned, and that lists lack."""
        vectors, bias = items(positions)
        counts = self.counts if positions is None else self.counts[positions]
        return vectors, bias + self.options.popularity * counts.clamp(min=1).log()

    def _softmax(self, queries, items, batch, generator):
        vectors, bias = items(None)
        scores = torch.addmm(bias, queries, vectors.T)
        return full_softmax(scores, batch["query"], batch["item"])

    def _sampled_softmax(self, queries, items, batch, generator):
        drawn, log_weight = shared_draws(self.counts.cpu(), self.n_negatives, generator)
        drawn, log_weight = drawn.to(queries.device), log_weight.to(queries)
        query, item = batch["query"], batch["item"]
        vectors, bias = items(drawn)
        scores = torch.addmm(bias, queries, vectors.T)
        vectors, bias = items(item)
        own = (queries[query] * vectors).sum(1) + bias
        given = (query, item, drawn, log_weight, len(self.counts))
        return sampled_softmax(scores, own, *given)

    def _bpr(self, queries, items, batch, generator):
        query, item = batch["query"], batch["item"]
        n, n_items = self.n_negatives, len(self.counts)
        drawn = torch.randint(n_items, (len(item), n), generator=generator)
        drawn = drawn.to(queries.device)
        vectors, bias = items(torch.cat([item, drawn.ravel()]))
        asked = queries[query]
        own = (asked * vectors[: len(item)]).sum(1) + bias[: len(item)]
        others = vectors[len(item) :].view(len(item), n, -1)
        others = torch.einsum("ij,ikj->ik", asked, others)
        others = others + bias[len(item) :].view(len(item), n)
        cells = query * n_items
        positive = torch.isin(cells.unsqueeze(1) + drawn, cells + item)
        if self.options.hard:
            others = others.masked_fill(positive, -torch.inf).amax(1, keepdim=True)
            positive = others.isinf()
        losses = softplus(others - own.unsqueeze(1)).masked_fill(positive, 0.0)
        return losses.sum(1) / (~positive).sum(1).clamp(min=1)
