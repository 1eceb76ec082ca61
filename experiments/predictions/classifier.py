"""A gradient-boosted classifier, tuned by cross-validation, and its log loss."""

import numpy as np
from sklearn import ensemble
from sklearn import model_selection

__all__ = ["boosted_log_loss"]

_LEAST = 1e-6
_GRID = {
    "learning_rate": [0.02, 0.05, 0.1],
    "max_leaf_nodes": [8, 31],
    "l2_regularization": [0.0, 10.0],
}
_FOLDS = 3


def boosted_log_loss(x, y, new_x, new_y, is_categorical, settings):
    """Returns the mean negative log-probability of new classes, in nats.

    Args:
      x: features of the training rows, `[N, C]`; NaN where missing.
      y: their classes, `[N]`.
      new_x: `[M, C]`.
      new_y: `[M]`; a class that no training row has gets a probability of 1e-6.
      is_categorical: which features are codes, `[C]`.
      settings: `seed`.
    """
    model = ensemble.HistGradientBoostingClassifier(
        random_state=settings.seed,
        early_stopping=True,
        max_iter=500,
        categorical_features=is_categorical,
    )
    folds = model_selection.KFold(_FOLDS, shuffle=True, random_state=settings.seed)
    search = model_selection.GridSearchCV(model, _GRID, scoring=_score, cv=folds)
    search.fit(x, y)
    return -_score(search, new_x, new_y)


def _score(model, x, y):
    """Mean log-probability of classes, some of which a fold may lack."""
    places = {value: i for i, value in enumerate(model.classes_)}
    seen = np.array([places.get(value, -1) for value in y])
    probs = np.clip(model.predict_proba(x), _LEAST, None)[np.arange(len(y)), seen]
    return float(np.mean(np.log(np.where(seen >= 0, probs, _LEAST))))
