"""Groups of features that get a layer of their own and may be missing as a whole."""

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
