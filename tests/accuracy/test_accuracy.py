"""Accuracy predictors: what each says of small spaces, and what they refuse."""

import math

import numpy as np
import pytest
import yaml

from dse.accuracy.choice import files_of, is_function, predictor
from dse.errors import DseError, SpecError
from dse.files import validated
from dse.space import catalog
from dse.space.network_space import NetworkSpace
from dse.space.network_spec import NetworkSpaceSpec

SMALL = """
name: small
variables:
  image: {values: [8, 12], default: 8}
  depth: {min: 1, max: 2, default: 1}
  expand_1: {values: [0.5, 1], default: 1}
  expand_2: {values: [0.5, 1], default: 0.5}
layers:
  - {name: a, P: image, Q: image, C: 4, K: 8 * expand_1}
  - {name: b, when: depth >= 2, P: image, Q: image, C: 4, K: 8 * expand_2}
"""


@pytest.fixture
def networks():
    return NetworkSpace(validated(NetworkSpaceSpec, yaml.safe_load(SMALL), "s.yaml"), "s.yaml")


def test_macs_is_a_monotone_stand_in_that_says_so(networks):
    macs = predictor("macs", networks)
    assert macs.stands_in
    assert macs.unit == "stand-in by MACs"
    rng = np.random.default_rng(0)
    drawn = [networks.sample(rng) for _ in range(60)]
    points = sorted((networks.build(v).macs, macs.predict(v)) for v in drawn)
    assert all(a[1] < b[1] or a == b for a, b in zip(points, points[1:], strict=False))
    ends = [{"expand_1": 0.5}, {"image": 12, "depth": 2, "expand": 1}]
    assert [macs.predict(networks.of_numbers(end)) for end in ends] == [0, 1]
    fixed = NetworkSpace(
        validated(NetworkSpaceSpec, yaml.safe_load(SMALL), "s"), "s", None, {"image": 8}
    )
    values = networks.of_numbers({"depth": 2})
    assert predictor("macs", fixed).predict(values) == macs.predict(values)


def test_a_table_knows_its_networks_only(networks, tmp_path):
    file = tmp_path / "measured.csv"
    file.write_text("depth, expand_1,expand_2,accuracy\n1,1,1,0.9\n2,1,1,0.95\n2,1,0.5,0.93\n")
    table = predictor(f"table:{file}", networks)
    assert files_of(f"table:{file}") == [file]
    found = {
        numbers: table.predict(networks.of_numbers({"depth": numbers[0], "expand_2": numbers[1]}))
        for numbers in ((1, 0.5), (1, 1), (2, 1), (2, 0.5))
    }
    # what changes nothing does not matter, nor do variables without a column
    assert found == {(1, 0.5): 0.9, (1, 1): 0.9, (2, 1): 0.95, (2, 0.5): 0.93}
    assert table.predict(networks.of_numbers({"image": 12})) == 0.9
    unknown = networks.of_numbers({"expand_1": 0.5})
    assert math.isnan(table.predict(unknown))
    assert table.why_none(unknown).endswith("has no line with depth=1, expand_1=0.5, expand_2=0.5")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a column 'accuracy'"),
        ("depht,accuracy\n1,1\n", "unknown column 'depht'; did you mean 'depth'"),
        ("depth,accuracy\n1\n", "line 2: has 1 cells, expected 2"),
        ("depth,accuracy\n1,high\n", "line 2: accuracy = 'high', expected a number"),
        ("depth,accuracy\n1,95\n", "line 2: accuracy = 95, expected a share from 0 to 1"),
        ("depth,accuracy\n3,0.5\n", "network.depth = 3.0: expected one of 1, 2"),
        ("depth,accuracy\n1,0.5\n1,0.6\n", "line 3: this network has another accuracy"),
        ("depth,depth,accuracy\n1,1,0.5\n", "column 'depth' stands twice"),
    ],
)
def test_broken_tables_are_refused(networks, tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(SpecError, match=message):
        predictor(f"table:{tmp_path / 't.csv'}", networks)


FEATURES = """
weights: {weights}
offset: base
scale: 0.01
features:
  - {{variable: image, values: [8]}}
  - {{variable: expand_*, values: [0.5, 1]}}
"""


def mlp_of(tmp_path, ending, save):
    rng = np.random.default_rng(1)
    arrays = {
        "0.weight": rng.normal(size=(7, 5)).astype(np.float32),
        "0.bias": rng.normal(size=7).astype(np.float32),
        "2.weight": rng.normal(size=(1, 7)).astype(np.float32),
        "base": np.array([70.0], np.float32),
    }
    save(tmp_path / f"w{ending}", arrays)
    (tmp_path / "acc.yaml").write_text(FEATURES.format(weights=f"w{ending}"))
    return arrays, f"mlp:{tmp_path / 'acc.yaml'}"


def save_npz(path, arrays):
    np.savez(path, **arrays)


def save_safetensors(path, arrays):
    pytest.importorskip("safetensors.numpy").save_file(arrays, path)


def save_torch(path, arrays):
    torch = pytest.importorskip("torch")
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    torch.save({"state_dict": tensors}, path)


@pytest.mark.parametrize(
    ("ending", "save"),
    [(".npz", save_npz), (".safetensors", save_safetensors), (".pth", save_torch)],
)
def test_a_perceptron_of_ones_own_is_what_its_weights_say(networks, tmp_path, ending, save):
    arrays, named = mlp_of(tmp_path, ending, save)
    mlp = predictor(named, networks)
    assert files_of(named) == [tmp_path / "acc.yaml", tmp_path / f"w{ending}"]
    for numbers, inputs in (
        ({"depth": 2, "expand_2": 1}, [1, 0, 1, 0, 1]),
        ({"depth": 1, "expand_1": 0.5}, [1, 1, 0, 0, 0]),  # expand_2 changes nothing
    ):
        hidden = np.maximum(arrays["0.weight"] @ np.array(inputs) + arrays["0.bias"], 0)
        expected = (float((arrays["2.weight"] @ hidden)[0]) + 70) * 0.01
        assert mlp.predict(networks.of_numbers(numbers)) == pytest.approx(expected, rel=1e-6)
    large = networks.of_numbers({"image": 12})
    assert math.isnan(mlp.predict(large))
    assert mlp.why_none(large).endswith("acc.yaml has no input for image=12")


def test_once_for_alls_predictor_of_resnets_has_as_many_inputs(tmp_path):
    # its encoder: 8 image sizes, whether the stem is whole, 6 widths, 18 expand ratios
    space = catalog.networks("ofa_resnet50")
    widths = {"0.weight": np.zeros((3, 82)), "2.weight": np.ones((1, 3))}
    np.savez(tmp_path / "w.npz", **widths)
    (tmp_path / "acc.yaml").write_text(
        "weights: w.npz\nfeatures:\n"
        "  - {variable: image, values: [128, 144, 160, 176, 192, 224, 240, 256]}\n"
        "  - {variable: stem, values: [0, 1]}\n"
        "  - {variable: width_*, values: [0.65, 0.8, 1.0]}\n"
        "  - {variable: expand_*, values: [0.2, 0.25, 0.35]}\n"
    )
    assert predictor(f"mlp:{tmp_path / 'acc.yaml'}", space).predict(space.defaults) == 0
    widths["0.weight"] = np.zeros((3, 81))
    np.savez(tmp_path / "w.npz", **widths)
    with pytest.raises(SpecError, match=r"0.weight has shape \(3, 81\), expected \(any, 82\)"):
        predictor(f"mlp:{tmp_path / 'acc.yaml'}", space)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("offset: base", "offset: bass", "offset = bass: .* has no such number"),
        ("offset: base\n", "", "'base' is neither a weight nor the bias of one"),
        ("expand_*", "expend_*", r"features\[1\]: variable = expend_\*: the space has image"),
        ("w.npz", "v.npz", "v.npz: there is no such file of weights"),
        ("w.npz", "acc.yaml", "acc.yaml: expected weights in .npz"),
    ],
)
def test_broken_perceptrons_are_refused(networks, tmp_path, old, new, message):
    _, named = mlp_of(tmp_path, ".npz", save_npz)
    text = (tmp_path / "acc.yaml").read_text()
    assert old in text
    (tmp_path / "acc.yaml").write_text(text.replace(old, new))
    with pytest.raises(SpecError, match=message):
        predictor(named, networks)


def test_weights_that_would_run_code_are_refused(networks, tmp_path):
    torch = pytest.importorskip("torch")
    _, named = mlp_of(tmp_path, ".pth", lambda path, _: torch.save({"a": print}, path))
    with pytest.raises(SpecError, match="w.pth: holds no weights"):
        predictor(named, networks)


def test_a_function_of_ones_own(networks, tmp_path, monkeypatch):
    (tmp_path / "mine_of_networks.py").write_text(
        "def accuracy(network):\n    return 0.5 + 0.1 * network['depth'] / network['expand_1']\n"
    )
    monkeypatch.chdir(tmp_path)
    assert is_function("mine_of_networks:accuracy")
    assert not is_function("table:accuracy")
    own = predictor("mine_of_networks:accuracy", networks)
    assert own.predict(networks.of_numbers({"depth": 2, "expand_1": 0.5})) == 0.9
    with pytest.raises(SpecError, match="mine_of_networks has no function 'acuracy'"):
        predictor("mine_of_networks:acuracy", networks)
    (tmp_path / "failing_on_networks.py").write_text("def accuracy(network):\n    return 1 / 0\n")
    with pytest.raises(DseError, match="failing_on_networks:accuracy: ZeroDivisionError"):
        predictor("failing_on_networks:accuracy", networks).predict(networks.defaults)


def test_unknown_predictors_are_refused(networks):
    with pytest.raises(SpecError, match="accuracy = mac: unknown predictor 'mac'; did you mean"):
        predictor("mac", networks)
    with pytest.raises(SpecError, match="macs takes no argument"):
        predictor("macs:0.5", networks)
