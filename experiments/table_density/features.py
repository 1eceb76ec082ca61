"""The columns of a table as numbers, for models of scikit-learn."""

import numpy as np
import pandas as pd

# Least count of numbers in a column that keeps NaN: scikit-learn's trees refuse a fold
# without any number. In other columns, missing cells are one number below the others.
_LEAST_NUMBERS = 20


def features_of_each(frames, table):
    """Returns features of the context of several frames, with the same codes."""
    context = pd.concat([frame[table.context] for frame in frames])
    found, is_categorical = features(context, table.columns)
    ends = np.cumsum([len(frame) for frame in frames])[:-1]
    return np.split(found, ends), is_categorical


def features(frame, columns):
    """Returns columns as numbers, `[N, D]`, and which are codes of categories."""
    found, is_categorical = [], []
    for name in frame:
        cells = frame[name]
        if isinstance(cells.dtype, pd.CategoricalDtype):
            cells = cells.astype(object)
        is_code = columns[name].kind in ("categorical", "boolean", "constant")
        is_missing = cells.isna().to_numpy()
        if columns[name].has_ordered_texts:
            numbers = pd.Categorical(cells, columns[name].values).codes
        elif is_code:
            # Sorted: more than 255 codes are numbers, whose order must not tell the frame.
            numbers = pd.factorize(cells.astype(str).mask(is_missing), sort=True)[0]
        elif cells.dtype.kind == "M":
            numbers = cells.astype("int64").to_numpy(np.float64)
        else:
            numbers = pd.to_numeric(cells).to_numpy(np.float64, na_value=np.nan)
        present = numbers[~is_missing]
        is_rare = not is_code and len(present) < _LEAST_NUMBERS
        missing = present.min(initial=0.0) - 1.0 if is_rare else np.nan
        found.append(np.where(is_missing, missing, numbers))
        is_categorical.append(is_code and bool(numbers.max() < 255))
    return np.stack(found, axis=1), is_categorical


def one_hot_context(table, sets):
    """Returns contexts of training and test rows, data frames, with categories one-hot."""
    (train, test), is_categorical = features_of_each(sets, table)
    parts = [[], []]
    for j, is_code in enumerate(is_categorical):
        codes = np.unique(train[~np.isnan(train[:, j]), j]) if is_code else None
        for part, rows in zip(parts, (train, test), strict=True):
            column = rows[:, j : j + 1]
            part.append(column == codes if is_code else np.nan_to_num(column))
    return [np.concatenate(part, axis=1).astype(np.float64) for part in parts]
