"""A simulated raw log: untidy tables of users, items, impressions and events."""

from numbers import Integral, Real

import numpy as np
import pandas as pd
from sklearn.utils import Bunch, check_random_state, check_scalar

from sklearn_causalrec._utils.typing import Seed

from ._simulators import ExposureWorld, _draw_pairs

_START = pd.Timestamp("2024-01-01", tz="UTC")
_ZONES = ("UTC", "Europe/Berlin", "America/New_York")
_PURCHASE_RATE = 0.4  # of those who would buy at all, how many do in the log's time
_CLICK_RATE = 0.15
_COUNTRIES = ("BR", "DE", "IN", "US")
_CATEGORIES = ("books", "games", "music", "tools")
# One pair of words a feature: a title says on which side of 0 the feature is.
_WORDS = (
    ("quiet", "loud"),
    ("plain", "golden"),
    ("short", "endless"),
    ("northern", "southern"),
)
_FILLER = ("the", "story", "of", "a", "new", "edition", "with", "and")
DIRT = {
    "exact_duplicates": 0.02,
    "near_duplicates": 0.02,
    "impossible_times": 0.005,
    "impossible_values": 0.002,
    "missing": 0.005,
    "before_exposure": 0.005,
    "id_spelling": 0.02,
    "bots": 3,
    "bursts": 5,
}


def _buckets(values, names):
    cuts = np.quantile(values, np.linspace(0, 1, len(names) + 1)[1:-1])
    return np.asarray(names, dtype=object)[np.searchsorted(cuts, values)]


def _with_gaps(rng, values, share):
    out = np.asarray(values, dtype=object)
    out[rng.uniform(size=len(out)) < share] = None
    return out


def _user_table(rng, world, n_bots):
    x = world.users.iloc[:, 1:].to_numpy()
    frame = pd.DataFrame(
        {
            "age": (40 + 12 * x[:, 0]).clip(16, 90).round(),
            "country": _with_gaps(rng, _buckets(x[:, 1], _COUNTRIES), 0.03),
            "loyalty": x[:, 2],
            "income": np.exp(10 + 0.5 * x[:, 3]).round(),
        }
    )
    frame.loc[rng.uniform(size=len(frame)) < 0.05, "age"] = np.nan
    frame = frame.reindex(range(len(frame) + n_bots))
    frame.insert(0, "user", [f"u{i:05d}" for i in range(len(frame))])
    return frame


def _item_table(rng, world):
    x = world.items.iloc[:, 1:].to_numpy()
    side = rng.uniform(size=x.shape) < 1 / (1 + np.exp(-4 * x))
    titles = [
        " ".join(rng.permutation([w[s] for w, s in zip(_WORDS, row)] + list(filler)))
        for row, filler in zip(
            side.astype(int), rng.choice(_FILLER, size=(len(x), 3)).tolist()
        )
    ]
    loadings = rng.standard_normal((x.shape[1], 6))
    image = x @ loadings + 0.5 * rng.standard_normal((len(x), 6))
    return pd.DataFrame(
        {
            "item": [f"i{i:05d}" for i in range(len(x))],
            "category": _buckets(x[:, 0], _CATEGORIES),
            "price": np.exp(3 + 0.6 * x[:, 1]).round(2),
            "title": _with_gaps(rng, titles, 0.03),
            "image": list(image.round(3)),
        }
    )


def _seconds(values):
    return pd.to_timedelta(np.round(values, 3), unit="s")


def _tidy_events(rng, impressions, would_buy, window_days, late):
    """Return clicks, purchases and ratings, and the outcome within the window."""
    n, day = len(impressions), 86400.0
    bought = would_buy & (rng.uniform(size=n) < _PURCHASE_RATE)
    in_time = rng.uniform(size=n) >= late
    delay = 900 + (window_days * day - 1800) * rng.beta(1, 4, size=n)
    delay = np.where(
        in_time, delay, day * (window_days + 0.1 + rng.exponential(3, size=n))
    )
    shown = impressions["shown"].to_numpy() == 1
    clicked = shown & (bought | (rng.uniform(size=n) < _CLICK_RATE))
    rated = bought & (rng.uniform(size=n) < 0.3)
    stars = rng.randint(1, 6, size=n).astype(float)
    parts = []
    for event, rows, after, value in (
        ("click", clicked, rng.uniform(5, 600, size=n), np.full(n, np.nan)),
        ("purchase", bought, delay, np.ones(n)),
        ("rating", rated, delay + day * rng.uniform(1, 10, size=n), stars),
    ):
        part = impressions.loc[rows, ["user", "item", "time"]].copy()
        part["time"] += _seconds(after[rows])
        parts.append(part.assign(event=event, value=value[rows]))
    return pd.concat(parts, ignore_index=True), (bought & in_time).astype(int)


def _clicks(user, items, times):
    return pd.DataFrame(
        {"user": user, "item": items, "time": times, "event": "click", "value": np.nan}
    )


def _dirty_rows(rng, events, impressions, items, bots, dirt):
    """Return rows to add to the tidy events, each with the rule that it breaks."""

    def pick(frame, share):
        n = min(len(frame), round(share * len(events)))
        rows = rng.choice(len(frame), size=n, replace=False)
        return frame.iloc[rows].reset_index(drop=True)

    parts = {"exact_duplicates": pick(events, dirt["exact_duplicates"])}
    near = pick(events, dirt["near_duplicates"])
    near["time"] += _seconds(rng.uniform(0.2, 2.0, size=len(near)))
    parts["near_duplicates"] = near

    impossible = pick(events, dirt["impossible_times"])
    wrong = rng.choice(["1970-01-01", "2199-12-31", "NaT"], size=len(impossible))
    impossible["time"] = pd.to_datetime(pd.Series(wrong), utc=True)
    parts["impossible_times"] = impossible
    rating = pick(events[events["event"] == "rating"], dirt["impossible_values"])
    rating["value"] = rng.choice([-1.0, 99.0, np.inf], size=len(rating))
    parts["impossible_values"] = rating
    missing = pick(events, dirt["missing"])
    for name, rows in (("user", slice(None, None, 2)), ("item", slice(1, None, 2))):
        missing.loc[missing.index[rows], name] = None
    parts["missing"] = missing

    pairs = pd.MultiIndex.from_frame(events[["user", "item"]])
    quiet = ~pd.MultiIndex.from_frame(impressions[["user", "item"]]).isin(pairs)
    early = pick(
        impressions[quiet & (impressions["shown"] == 1)], dirt["before_exposure"]
    )[["user", "item", "time"]]
    early["time"] -= _seconds(rng.uniform(3600, 86400, size=len(early)))
    parts["before_exposure"] = early.assign(event="purchase", value=1.0)

    def at_random(n):
        return items["item"].to_numpy()[rng.randint(len(items), size=n)]

    robots = [
        _clicks(bot, at_random(n), _START + _seconds(np.cumsum(gaps)))
        for bot in bots
        for n in [rng.randint(1500, 3000)]
        for gaps in [rng.exponential(600, size=n) + 61]
    ]
    busy = rng.choice(impressions["user"].unique(), size=int(dirt["bursts"]))
    bursts = [
        _clicks(
            user,
            rng.permutation(items["item"].to_numpy())[:40],
            _START
            + pd.Timedelta(days=1 + i, seconds=1)
            + _seconds(np.arange(min(40, len(items)))),
        )
        for i, user in enumerate(busy)
    ]
    for name, frames in ("bots", robots), ("bursts", bursts):
        parts[name] = pd.concat(frames) if frames else events.iloc[:0]
    return [part.assign(reason=name) for name, part in parts.items() if len(part)]


def _respell(rng, events, share):
    rows = np.flatnonzero((events["reason"] == "").to_numpy())
    rows = rng.choice(rows, size=round(share * len(rows)), replace=False)
    for column, part in ("user", rows[::2]), ("item", rows[1::2]):
        ids = events.loc[part, column]
        upper = rng.uniform(size=len(part)) < 0.5
        events.loc[part, column] = np.where(upper, ids.str.upper(), " " + ids + " ")
    events.loc[rows, "reason"] = "id_spelling"
    return events


def _in_local_zones(rng, times):
    """Return times as text in ISO 8601, each with the offset of one of three zones."""
    zone = rng.randint(len(_ZONES), size=len(times))
    out = np.full(len(times), None, dtype=object)
    for i, name in enumerate(_ZONES):
        rows = (zone == i) & times.notna().to_numpy()
        local = times[rows].dt.tz_convert(name)
        out[rows] = [t.isoformat() for t in local]
    return out


def make_event_log(
    n_decisions: int = 20_000,
    *,
    n_users: int = 500,
    n_items: int = 200,
    days: int = 60,
    window_days: int = 7,
    late: float = 0.1,
    confounding: float = 1.0,
    overlap: float = 1.0,
    revealed: float = 0.5,
    dirt: float | dict[str, float] = 1.0,
    random_state: Seed = None,
) -> Bunch:
    """Simulate the raw tables of a shop, with all their errors and with the truth.

    Each decision says whether an item was shown to a user. Decisions follow
    :func:`~sklearn_causalrec.datasets.make_exposure_log` with a binary outcome: items
    that would be bought anyway are shown more often. Some shown items are clicked. Some
    items are bought, most of them within the window. Some bought items are rated. At
    last, errors are added to the events.

    Parameters
    ----------
    n_decisions : int, default=20000
        The number of rows of `impressions`: distinct pairs of user and item at random
        times.
    n_users : int, default=500
        The number of users.
    n_items : int, default=200
        The number of items.
    days : int, default=60
        The length of the log in days.
    window_days : int, default=7
        The number of days after the decision during which a purchase counts as the
        outcome.
    late : float in [0, 1], default=0.1
        The share of purchases that come after the window.
    confounding : float, default=1.0
        The strength of confounding, as in
        :func:`~sklearn_causalrec.datasets.make_exposure_log`.
    overlap : float, default=1.0
        How close the arms are to equal probability, as in
        :func:`~sklearn_causalrec.datasets.make_exposure_log`.
    revealed : float in [0, 1], default=0.5
        The share of the latent states that the features explain, as in
        :func:`~sklearn_causalrec.datasets.make_exposure_log`.
    dirt : float or dict, default=1.0
        The amount of errors. A float multiplies the default amounts, and 0 leaves the
        events tidy. A dict replaces some of the default amounts. These are shares of
        the events for ``exact_duplicates`` (0.02), ``near_duplicates`` (0.02, up to 2
        seconds apart), ``impossible_times`` (0.005), ``impossible_values`` (0.002),
        ``missing`` (0.005, no user or no item), ``before_exposure`` (0.005, purchases
        before the exposure) and ``id_spelling`` (0.02, case or spaces). They are
        numbers of users for ``bots`` (3) and ``bursts`` (5).
    random_state : int, RandomState instance or None, default=None
        The seed of all draws. Pass an int for reproducible logs.

    Returns
    -------
    log : :class:`~sklearn.utils.Bunch`
        A dictionary-like object with the following attributes.

        user_table : DataFrame
            The columns ``user``, ``age``, ``country``, ``loyalty`` and ``income``. Some
            values are missing.
        item_table : DataFrame
            The columns ``item``, ``category``, ``price``, ``title`` (text, sometimes
            None) and ``image`` (a vector of 6 numbers per row).
        impressions : DataFrame of shape (n_decisions, 6)
            The columns ``user``, ``item``, ``time`` (UTC), ``shown`` (0 or 1),
            ``propensity`` (the probability of what was done) and ``device``.
        events : DataFrame
            The columns ``user``, ``item``, ``time`` (ISO 8601 text in three time
            zones), ``event`` ("click", "purchase" or "rating") and ``value``. The rows
            are in random order.
        reason : Series of str
            The rule that each row of `events` breaks, named as in `dirt`. It is "" for
            a tidy row.
        tidy_events : DataFrame
            The events before errors were added.
        outcome : ndarray of shape (n_decisions,)
            Whether a purchase followed within the window: 1 or 0.
        mu0, mu1 : ndarray of shape (n_decisions,)
            The probability of the outcome if the item is not shown, and if it is shown.
        effect : ndarray of shape (n_decisions,)
            The effect ``mu1 - mu0``.
        world : ExposureWorld
            The users and items by number: the user ``u00007`` is 7. Its probabilities
            times `rate` are the probabilities of the outcome.
        rate : float
            The probability that someone who would buy at all does so within the window.

    Raises
    ------
    ValueError
        If an argument is out of range, `dirt` names an unknown rule, or there are fewer
        pairs of user and item than decisions.

    See Also
    --------
    sklearn_causalrec.interactions.clean_log : Clean the events.
    sklearn_causalrec.interactions.build_examples : Make one row per decision.
    make_exposure_log : Simulate a tidy log.

    Examples
    --------
    >>> from sklearn_causalrec.datasets import make_event_log
    >>> log = make_event_log(random_state=0)
    >>> int((log.reason == "exact_duplicates").sum()) > 50
    True
    >>> print(f"{log.effect.mean():.3f}")
    0.026
    """
    for name, value in (
        ("n_decisions", n_decisions),
        ("n_users", n_users),
        ("n_items", n_items),
        ("days", days),
        ("window_days", window_days),
    ):
        check_scalar(value, name, Integral, min_val=1)
    check_scalar(late, "late", Real, min_val=0, max_val=1)
    if isinstance(dirt, dict):
        if unknown := set(dirt) - set(DIRT):
            raise ValueError(
                f"dirt knows {list(DIRT)}, got {sorted(map(str, unknown))}."
            )
        dirt = {**DIRT, **dirt}
    else:
        check_scalar(dirt, "dirt", Real, min_val=0)
        dirt = {name: dirt * share for name, share in DIRT.items()}
    rng = check_random_state(random_state)
    world = ExposureWorld(
        n_users=n_users,
        n_items=n_items,
        n_features=8,
        outcome="binary",
        effect="linear",
        n_arms=2,
        confounding=confounding,
        overlap=overlap,
        noise=1.0,
        revealed=revealed,
        n_latent=4,
        random_state=rng,
    )
    users = _user_table(rng, world, round(dirt["bots"]))
    items = _item_table(rng, world)
    user, item = _draw_pairs(rng, n_decisions, n_users, n_items)
    truth = world.counterfactual(user, item)
    p = truth.exposure_probability[:, 1]
    shown = (rng.uniform(size=n_decisions) < p).astype(int)
    impressions = pd.DataFrame(
        {
            "user": users["user"].to_numpy()[user],
            "item": items["item"].to_numpy()[item],
            "time": _START + _seconds(np.sort(rng.uniform(0, days * 86400, len(user)))),
            "shown": shown,
            "propensity": np.where(shown == 1, p, 1 - p),
            "device": rng.choice(["app", "web"], size=n_decisions),
        }
    )
    mu = truth.mu[np.arange(n_decisions), shown]
    would_buy = rng.uniform(size=n_decisions) < mu
    tidy, outcome = _tidy_events(rng, impressions, would_buy, window_days, late)
    events = pd.concat(
        [
            tidy.assign(reason=""),
            *_dirty_rows(
                rng, tidy, impressions, items, users["user"].iloc[n_users:], dirt
            ),
        ],
        ignore_index=True,
    )
    events = _respell(rng, events, dirt["id_spelling"])
    events = events.iloc[rng.permutation(len(events))].reset_index(drop=True)
    events["time"] = _in_local_zones(rng, events["time"])
    rate = _PURCHASE_RATE * (1 - late)
    return Bunch(
        user_table=users,
        item_table=items,
        impressions=impressions,
        reason=events.pop("reason"),
        events=events,
        tidy_events=tidy,
        outcome=outcome,
        mu0=rate * truth.mu[:, 0],
        mu1=rate * truth.mu[:, 1],
        effect=rate * truth.effect,
        world=world,
        rate=rate,
    )
