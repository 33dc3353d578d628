"""Groups of features: those with a layer of their own, and those of one owner."""

import numpy as np


def tower_columns(towers, features):
    """Groups of features, by position; those in no group make one more, "other".

    Parameters
    ----------
    towers : None, "prefix" or dict
        How columns are grouped. "prefix" is what stands before a column's first "__",
        as ColumnTransformer names its columns. A dict gives each group a prefix or a
        list of columns. None: there are no groups.
    features : list
        Names or positions of the columns.

    Returns
    -------
    dict of str to list of int, or None
        The positions of each group's columns.

    Raises
    ------
    ValueError
        If a group has no columns, or a column is in two groups.

    Examples
    --------
    >>> tower_columns("prefix", ["text__a", "text__b", "age"])
    {'text': [0, 1], 'other': [2]}
    >>> tower_columns({"image": ["px"]}, ["px", "age"])
    {'image': [0], 'other': [1]}
    """
    if towers is None:
        return None
    names = [str(name) for name in features]
    groups = {}
    if isinstance(towers, str):
        for i, name in enumerate(names):
            if "__" in name:
                groups.setdefault(name.split("__")[0], []).append(i)
        if not groups:
            raise ValueError(
                f'towers="prefix", but no feature has a prefix before "__": {names}. '
                "Name the groups: towers={'text': ['column', …], …}."
            )
    else:
        for group, wanted in towers.items():
            if isinstance(wanted, str):
                found = [i for i, name in enumerate(names) if name.startswith(wanted)]
            else:
                unknown = [name for name in wanted if name not in features]
                if unknown:
                    raise ValueError(
                        f"Tower {group!r} names {unknown[0]!r}, which is not a feature "
                        f"of X. Its features are {features}."
                    )
                found = [features.index(name) for name in wanted]
            if not found:
                raise ValueError(
                    f"Tower {group!r} has no columns: none of {names} is meant by "
                    f"{wanted!r}."
                )
            groups[group] = found
    taken = [i for found in groups.values() for i in found]
    if len(set(taken)) < len(taken):
        twice = next(i for i in taken if taken.count(i) > 1)
        raise ValueError(f"Feature {features[twice]!r} is in two towers.")
    rest = [i for i in range(len(features)) if i not in set(taken)]
    if rest:
        groups["other"] = groups.get("other", []) + rest
    return groups


def told_owners(features, towers, user_features=None, item_features=None):
    """Whose each feature is, as far as parameters and names of towers tell.

    Parameters
    ----------
    features : list
        Names or positions of the columns.
    towers : dict of str to list of int, or None
        The towers, as :func:`tower_columns` returns them. Those called "user", "item"
        and "context" tell the owner of their columns.
    user_features, item_features : sequence of columns, default=None
        The features of the users, and of the items. With both, all other features
        describe the context.

    Returns
    -------
    list of "user", "item", "context" or None
        None where the owner of a feature is not told.

    Raises
    ------
    ValueError
        If a named column is no feature, or a feature has two owners.

    Examples
    --------
    >>> told_owners(["age", "price", "hour"], None, user_features=["age"])
    ['user', None, None]
    >>> told_owners(["age", "price", "hour"], None, ["age"], ["price"])
    ['user', 'item', 'context']
    """
    owners = [None] * len(features)
    lists = {"user": user_features, "item": item_features}
    for owner, named in lists.items():
        for name in [] if named is None else list(named):
            if name not in features:
                raise ValueError(
                    f"{owner}_features names {name!r}, which is not a feature of X. "
                    f"Its features are {list(features)}."
                )
            j = features.index(name)
            if owners[j] not in (None, owner):
                raise ValueError(
                    f"{name!r} is in user_features and in item_features: name it in "
                    "one of them."
                )
            owners[j] = owner
    for owner in ("user", "item", "context"):
        for j in (towers or {}).get(owner, []):
            if owners[j] not in (None, owner):
                raise ValueError(
                    f"{features[j]!r} is in {owners[j]}_features and in the tower "
                    f"{owner!r}: name it in one of them."
                )
            owners[j] = owner
    if None not in (user_features, item_features):
        owners = ["context" if owner is None else owner for owner in owners]
    return owners


def check_missing(X, features, towers):
    """A row has all of a group or, but for the group "other", none of it."""
    missing = np.isnan(X)
    if not missing.any():
        return
    for group, found in towers.items():
        gaps = missing[:, found]
        broken = gaps.any(1) if group == "other" else gaps.any(1) & ~gaps.all(1)
        if broken.any():
            row = int(broken.argmax())
            name = features[found[int(gaps[row].argmax())]]
            what = f"tower {group!r} has other values in that row"
            if group == "other":
                what = "belongs to no tower"
            raise ValueError(
                f"{name!r} is missing in row {row}, and {what}. Only whole towers may "
                "be missing; fill other gaps, for instance with SimpleImputer."
            )
