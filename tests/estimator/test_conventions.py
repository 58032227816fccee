"""scikit-learn's own checks of an estimator. They hand over tables, so an adapter makes little images of the rows."""

import numpy as np
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_array, validate_data

from tinysight import ImageClassifier

SIDE = 32
PICKLED = "a fitted classifier is not pickled, on purpose: a pickle runs code when it is read"
NOT_APPLICABLE = {
    "check_estimators_pickle": PICKLED,
    "check_estimators_pickle(readonly_memmap=True)": PICKLED,
}


class OfTables(ImageClassifier):
    """Takes tables: every number becomes the grey of a field of an image."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = True, False
        return tags

    def fit(self, rows, y):
        rows = validate_data(self, rows, ensure_min_samples=2)
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        self.low_, self.high_ = rows.min(0), rows.max(0)
        super().fit(self._drawn(rows), y)
        self.n_features_in_ = rows.shape[1]
        return self

    def predict_proba(self, rows):
        self._fitted()
        return super().predict_proba(self._drawn(validate_data(self, rows, reset=False)))

    def _drawn(self, rows):
        share = (check_array(rows) - self.low_) / np.maximum(self.high_ - self.low_, 1e-9)
        grey = (255 * np.clip(share, 0, 1)).astype(np.uint8)
        columns = np.arange(SIDE) * grey.shape[1] // SIDE
        return np.ascontiguousarray(np.broadcast_to(grey[:, columns][:, None, :, None], (len(grey), SIDE, SIDE, 3)))


@parametrize_with_checks(
    [OfTables("early-stopping", epochs=5, changes=["optimiser.learning_rate=0.01"], precision="fp32")],
    expected_failed_checks=lambda estimator: NOT_APPLICABLE,
)
def test_a_convention_holds(estimator, check):
    check(estimator)
