"""scikit-learn's estimator checks; an adapter renders their tables as images."""

import numpy as np
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_array, validate_data

from tinysight import ImageClassifier

SIDE = 32
NOT_APPLICABLE = {
    "check_sample_weight_equivalence_on_dense_data": "repeating an image changes the batches of stochastic gradient "
    "descent, as for scikit-learn's SGDClassifier and MLPClassifier"
}


class TableClassifier(ImageClassifier):
    """Takes tables: every number becomes the gray level of a column of an image."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = True, False
        return tags

    def fit(self, rows, y, sample_weight=None):
        rows = validate_data(self, rows, ensure_min_samples=2)
        if y is None:
            raise ValueError("requires y to be passed, but the target y is None")
        self.low_, self.high_ = rows.min(0), rows.max(0)
        super().fit(self._render(rows), y, sample_weight)
        self.n_features_in_ = rows.shape[1]
        return self

    def predict_proba(self, rows):
        self._require_fitted()
        return super().predict_proba(self._render(validate_data(self, rows, reset=False)))

    def transform(self, rows):
        self._require_fitted()
        return super().transform(self._render(validate_data(self, rows, reset=False)))

    def _render(self, rows):
        scaled = (check_array(rows) - self.low_) / np.maximum(self.high_ - self.low_, 1e-9)
        gray = (255 * np.clip(scaled, 0, 1)).astype(np.uint8)
        columns = np.arange(SIDE) * gray.shape[1] // SIDE
        return np.ascontiguousarray(np.broadcast_to(gray[:, columns][:, None, :, None], (len(gray), SIDE, SIDE, 3)))


@parametrize_with_checks(
    [TableClassifier("early-stopping", epochs=5, overrides=["optimizer.learning_rate=0.01"], precision="fp32")],
    expected_failed_checks=lambda estimator: NOT_APPLICABLE,
)
def test_scikit_learn_conventions(estimator, check):
    check(estimator)
