"""Case A7: a user's folder named like a built-in dataset got the built-in dataset's consent and license."""

import numpy as np
import pytest
from PIL import Image

import tinysight as ts


@pytest.mark.parametrize("name", ["shapes", "cifar10"])
def test_the_card_of_a_folder_states_no_consent_whatever_its_name(name, tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    for person in ("alice", "bob"):
        (tmp_path / name / person).mkdir(parents=True)
        for number in range(10):
            pixels = random.integers(0, 256, (32, 32, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / person / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    run = ts.train("early-stopping", f"./{name}", out="run", epochs=1, precision="fp32")
    record = run.environment().dataset
    assert (record.name, record.argument) == (name, str(tmp_path / name))
    card = ts.card(run)
    assert card.provenance.consent.startswith("Not stated")
    assert card.provenance.license.startswith("Not stated")
    text = card.to_markdown()
    assert "no person took these images" not in text
    assert "The license of tinysight" not in text
    assert "Tiny Images" not in text
