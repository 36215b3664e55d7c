"""The supernet of digits: what is trained is what is mapped, and accuracies are measured."""

import json

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")
pytest.importorskip("safetensors")

from dse.accuracy.choice import predictor
from dse.cli.train import main as train
from dse.errors import SpecError
from dse.extras import torch_for
from dse.learned.digit_images import HELD_OUT, digit_images
from dse.learned.supernet import (
    channels_of,
    convolutions,
    forward,
    initial,
    largest,
    measured_accuracy,
    smallest,
    supernet_space,
)
from dse.learned.supernet_train import CALIBRATION, load_supernet
from dse.space import catalog
from dse.space.network_counts import size_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("net")
    assert train(["supernet", "-o", str(where), "epochs=2", "batch=32", "-q"]) == 0
    return where


def networks():
    space = supernet_space()
    rng = np.random.default_rng(3)
    return space, [largest(space), smallest(space), *(space.sample(rng) for _ in range(10))]


def test_every_network_has_the_weights_and_macs_of_its_layers():
    space, some = networks()
    with torch_for("a test", 0) as torch:
        weights = initial(torch, channels_of(space, largest(space)))
        for values in some:
            channels, network = channels_of(space, values), space.build(values)
            used = sum(o * i * w * w for o, i, w in convolutions(channels).values())
            assert used + 10 * channels.stages[-1][0] == network.weight_words
            macs = counted_macs(torch, weights, channels)
            assert macs == network.macs


def counted_macs(torch, weights, channels):
    """Count the products of a network as it runs."""
    total, f = 0, torch.nn.functional
    original = f.conv2d

    def counting(x, weight, **options):
        nonlocal total
        answer = original(x, weight, **options)
        total += answer[0, 0].numel() * weight.numel()
        return answer

    f.conv2d = counting
    try:
        forward(torch, weights, channels, torch.zeros(2, 1, 8, 8))
    finally:
        f.conv2d = original
    return total + 10 * channels.stages[-1][0]


def test_its_space_counts_its_networks():
    assert size_of(catalog.networks("ofa_digits")).networks == 3 * 3**4 * (3 + 9 + 27) ** 3


def test_held_out_images_are_not_learned_from():
    learned, held_out = digit_images()
    assert len(held_out.labels) == HELD_OUT
    assert len(learned.labels) + HELD_OUT == 1797
    assert learned.images.min() == 0
    assert learned.images.max() == 1
    everything = np.concatenate([learned.images, held_out.images]).reshape(1797, -1)
    # no image stands on both sides
    assert len(np.unique(everything, axis=0)) == 1797


def test_accuracies_are_those_of_the_saved_weights(folder):
    space, some = networks()
    digits = predictor(f"digits:{folder}", space)
    card = json.loads((folder / "supernet.json").read_text())
    ends = {"largest": largest(space), "smallest": smallest(space), "default": space.defaults}
    assert {name: digits.predict(values) for name, values in ends.items()} == card["accuracies"]
    weights = load_supernet(folder)
    learned, held_out = digit_images()
    with torch_for("a test", 5) as torch:
        for values in some[2:5]:
            again = measured_accuracy(
                torch,
                {name: torch.from_numpy(array) for name, array in weights.items()},
                channels_of(space, values),
                torch.from_numpy(learned.images[:CALIBRATION]),
                torch.from_numpy(held_out.images),
                held_out.labels,
            )
            assert digits.predict(values) == again
    # far above one in ten, after two epochs
    assert card["accuracies"]["largest"] > 0.5


def test_equal_seeds_train_equal_supernets(tmp_path):
    for name, seed in (("one", 1), ("other", 1), ("third", 2)):
        train(["supernet", "-o", str(tmp_path / name), "epochs=1", "batch=400", f"seed={seed}"])
    one, other, third = (load_supernet(tmp_path / name) for name in ("one", "other", "third"))
    assert all((one[name] == other[name]).all() for name in one)
    assert not (one["stem.weight"] == third["stem.weight"]).all()


def test_damaged_and_foreign_folders_are_refused(folder, tmp_path):
    space = supernet_space()
    with pytest.raises(SpecError, match="accuracy = digits: expected digits:FOLDER"):
        predictor("digits", space)
    with pytest.raises(SpecError, match="supernet.json"):
        predictor(f"digits:{tmp_path}", space)
    for name in ("supernet.json", "supernet.safetensors"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    card = (tmp_path / "supernet.json").read_text()
    (tmp_path / "supernet.json").write_text(card.replace("ofa_digits", "ofa_other"))
    with pytest.raises(SpecError, match="space = 'ofa_other', expected 'ofa_digits'"):
        predictor(f"digits:{tmp_path}", space)
    (tmp_path / "supernet.json").write_text(card)
    data = bytearray((tmp_path / "supernet.safetensors").read_bytes())
    data[-1] ^= 1
    (tmp_path / "supernet.safetensors").write_bytes(data)
    with pytest.raises(SpecError, match="damaged: its checksum"):
        predictor(f"digits:{tmp_path}", space)
    with pytest.raises(SpecError, match="has no stem; accuracy = digits goes with ofa_digits"):
        predictor(f"digits:{folder}", catalog.networks("ofa_mobilenet_v3"))


@pytest.mark.parametrize(
    ("word", "message"),
    [("epochs=0", "epochs = 0, expected at least 1"), ("epoch=1", "unknown setting 'epoch'")],
)
def test_wrong_settings_of_the_training_are_refused(tmp_path, word, message):
    with pytest.raises(SpecError, match=message):
        train(["supernet", "-o", str(tmp_path), word])
