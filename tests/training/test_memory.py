import pytest
import torch

from tinysight.errors import TrainingError
from tinysight.training.memory import enough_memory


def test_more_memory_than_any_machine_has_is_said_in_words():
    with pytest.raises(TrainingError, match=r"not enough memory.*batch_size"), enough_memory():
        torch.empty(2**59, dtype=torch.uint8)


def test_other_faults_stay_what_they_are():
    with pytest.raises(RuntimeError, match="another fault"), enough_memory():
        raise RuntimeError("another fault")
