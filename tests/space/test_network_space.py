"""Spaces of networks: published sub-networks, counts against enumeration, what a user may fix."""

from itertools import product

import numpy as np
import pytest
import yaml

from dse.cli.show import main as show
from dse.domain.expression import Expression
from dse.errors import SpecError
from dse.files import read_yaml, validated
from dse.space import catalog
from dse.space.network_counts import size_of
from dse.space.network_space import NetworkSpace, read_networks
from dse.space.network_spec import NetworkSpaceSpec

SMALL = """
name: small
description: two stages
parameters: {classes: {default: 10}}
variables:
  image: {min: 8, max: 16, step: 4, default: 8}
  width: {values: [0.5, 1.0], default: 1.0}
  depth_1: {min: 1, max: 2, default: 1}
  depth_2: {min: 1, max: 3, default: 3}
  expand_1: {values: [1, 2], default: 1}
  expand_2: {values: [1, 2, 3], default: 1}
  expand_3: {values: [1, 4], default: 1}
derived:
  wide: 8 * width
  twice: 2 * wide
layers:
  - {name: stem, P: image, Q: image, C: 3, K: wide}
  - {name: a, P: image, Q: image, C: wide, K: wide * expand_1}
  - {name: b, when: depth_1 >= 2, P: image, Q: image, C: wide, K: wide * expand_2}
  - {name: c, when: depth_2 >= 2, P: image, Q: image, C: twice, K: 8}
  - {name: d, when: depth_2 >= 3, P: image, Q: image, C: twice, K: 8 * expand_3}
  - {name: head, C: twice, K: classes}
"""


def space_of(text, fixed=None, **parameters):
    spec = validated(NetworkSpaceSpec, yaml.safe_load(text), "small.yaml")
    return NetworkSpace(spec, "small.yaml", parameters, fixed)


def every(space):
    """Yield the values of all networks, however often each."""
    for values in product(*([v.value_at(i) for i in range(v.count)] for v in space.variables)):
        given = dict(zip((v.name for v in space.variables), values, strict=True))
        yield space.canonical({**given, **space.fixed})


@pytest.mark.parametrize("fixed", [{}, {"depth_2": 1}, {"depth": 2}, {"width": 0.5, "expand_2": 3}])
def test_counts_and_macs_are_those_of_all_networks(fixed):
    space = space_of(SMALL, fixed)
    networks = {tuple(values.values()): space.build(values).macs for values in every(space)}
    size = size_of(space)
    assert size.networks == len(networks)
    assert (size.least_macs, size.most_macs) == (min(networks.values()), max(networks.values()))


def test_variables_that_change_nothing_have_their_defaults():
    space = space_of(SMALL)
    values = space.of_numbers({"depth_1": 1, "expand_2": 3, "depth_2": 2, "expand_3": 4})
    assert space.numbers(values)["expand_2"] == 1
    assert not space.active(values, "expand_2")
    assert not space.active(values, "expand_3")
    assert space.active({**values, "network.depth_1": 2}, "expand_2")
    rng = np.random.default_rng(0)
    for _ in range(50):
        drawn = space.sample(rng)
        assert drawn == space.canonical(drawn) == space.check(drawn)


def test_equal_layers_are_one_with_a_count():
    network = space_of(SMALL).build(space_of(SMALL).of_numbers({"width": 0.5, "depth_2": 3}))
    assert [(x.name, x.count) for x in network] == [("stem", 1), ("a", 1), ("c", 2), ("head", 1)]
    assert network.macs == 64 * (3 * 4 + 4 * 4 + 2 * 8 * 8) + 8 * 10


def test_parameters_and_derived_names_enter_the_layers():
    space = space_of(SMALL, classes=7)
    assert space.default.layer("head").problem.bounds["K"] == 7
    assert space.default.layer("head").problem.bounds["C"] == 16


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("C: twice", "C: thrice", r"layers\[3\] \('c'\): C: unknown name 'thrice'"),
        ("depth_2 >= 3", "depth_3 >= 3", r"'d'\): when: unknown variable 'depth_3'"),
        ("depth_2 >= 3", "depth_2", r"'d'\): when: 'depth_2': expected two pieces"),
        ("8 * width", "width / 3", r"'stem'\): with image=8, width=1: K: 'wide'"),
        ("default: 3}", "default: 4}", "variables.depth_2: default = 4: expected one of 1, 2, 3"),
        ("derived:", "derived:\n  image: 3", "'image' stands for two of"),
        ("8 * expand_3", "8", "variables.expand_3: no layer depends on it"),
        ("[1, 4]", "[4, 1]", "variables.expand_3: values: expected numbers in growing order"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_its_place(old, new, message):
    assert old in SMALL
    with pytest.raises(SpecError, match=message):
        space_of(SMALL.replace(old, new))


@pytest.mark.parametrize(
    ("fixed", "message"),
    [
        ({"width": 0.7}, "network.width = 0.7: expected one of 0.5, 1$"),
        ({"image": 9}, "network.image = 9: expected one of 8, 12, 16"),
        ({"image": "8"}, "network.image = '8': expected"),
        ({"with": 1}, "network.with: unknown variable 'with'; did you mean 'width'"),
    ],
)
def test_what_cannot_be_fixed_is_said(fixed, message):
    with pytest.raises(SpecError, match=message):
        space_of(SMALL, fixed)


def test_a_name_fixes_all_that_begin_with_it_and_one_of_them_has_the_last_word():
    space = space_of(SMALL, {"expand_2": 3, "depth": 2, "expand": 1})
    numbers = space.numbers(space.defaults)
    assert (numbers["depth_1"], numbers["depth_2"]) == (2, 2)
    assert (numbers["expand_1"], numbers["expand_2"]) == (1, 3)
    with pytest.raises(SpecError, match="network.depth_1 = 1: it is fixed at 2"):
        space.check({**space.defaults, "network.depth_1": 1})


# the built-in spaces


def normalised(network, plain, biased):
    """Return the parameters with two per channel of normalised layers, and biases of the others.

    Args:
        network: the network.
        plain: layers, by the end of their name, that have neither.
        biased: layers that have a bias per channel.
    """
    total = network.weight_words
    for layer in network:
        channels = layer.problem.bounds.get("K", layer.problem.bounds.get("G"))
        kind = layer.name.rpartition(".")[2]
        each = 1 if kind in biased else 0 if kind in plain else 2
        total += layer.count * each * channels
    return total


def test_the_default_is_resnet50d_with_its_published_parameters():
    network = catalog.workload("ofa_resnet50")
    # timm's resnet50d: 25,576,264 parameters; once-for-all's figure: 4.3 G MACs
    assert normalised(network, (), ("fc",)) == 25_576_264
    assert round(network.macs / 1e9, 1) == 4.3


#: Image, width in percent, kernels and expand ratios by stage; published M MACs and M parameters:
#: once-for-all's list of specialised networks, whose configurations are public (net.config of
#: han-cai/files; of the last, OFA_SUBNET_NOTE8_LAT31.yaml of open-mmlab/mmrazor).
PUBLISHED = {
    "flops@595M": (236, 120, "353 5535 7535 3573 3353", "343 4463 6634 6664 6663", 595, 9.1),
    "LG-G8_lat@24ms": (220, 100, "33 753 555 375 5733", "33 433 643 443 6664", 230, 5.8),
    "note8_lat@31ms": (152, 100, "53 55 335 357 3355", "33 43 444 434 6333", 101, 4.6),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_mobile_networks_have_their_totals(name):
    image, width, kernels, expands, macs, parameters = PUBLISHED[name]
    content = read_yaml(catalog.find("workload", "ofa_mobilenet_v3"))
    # once-for-all's images are wider and finer than those of its predictors
    content["variables"]["image"] = {"values": [image], "default": image}
    spec = validated(NetworkSpaceSpec, content, name)
    space = NetworkSpace(spec, name, {"width": width})
    numbers = {}
    for stage, (k, e) in enumerate(zip(kernels.split(), expands.split(), strict=True)):
        numbers[f"depth_{stage + 1}"] = len(k)
        for block, (kernel, expand) in enumerate(zip(k, e, strict=True), 4 * stage + 1):
            numbers |= {f"kernel_{block}": int(kernel), f"expand_{block}": int(expand)}
    network = space.build(space.of_numbers(numbers))
    assert round(network.macs / 1e6) == macs
    found = normalised(network, ("feature_mix",), ("squeeze", "excite", "classifier"))
    assert round(found / 1e6, 1) == parameters


def test_the_built_in_spaces_are_as_large_as_published():
    # NAAS: 1e13 networks, which leaves the stem's second convolution in; once-for-all: 1e19, of
    # which images of 25 sizes are a factor here left out
    resnets = catalog.networks("ofa_resnet50")
    blocks = (9 + 27 + 81) ** 3 * (81 + 243 + 729)
    assert size_of(resnets).networks == 2 * 9 * 3**6 * blocks
    mobile = catalog.networks("ofa_mobilenet_v3")
    assert size_of(mobile).networks == 7 * (9**2 + 9**3 + 9**4) ** 5


def test_show_tells_the_size_and_the_ends(capsys):
    show(["ofa_resnet50"])
    told = capsys.readouterr().out
    assert told.startswith(
        "space of networks ofa_resnet50: 2.2e+13 networks, 0.315 to 9.784 G MACs"
    )
    assert (
        "network.width_1    one of 0.65, 0.8, 1, default 1: of the first two convolutions" in told
    )


def test_a_space_of_ones_own_by_path(tmp_path, monkeypatch, capsys):
    (tmp_path / "mine.yaml").write_text(SMALL)
    show([str(tmp_path / "mine.yaml")])
    assert "space of networks small: 192 networks" in capsys.readouterr().out
    monkeypatch.chdir(tmp_path)
    assert catalog.networks("mine").default.macs == catalog.workload("mine").macs
    assert read_networks(catalog.find("workload", "alexnet")) == catalog.workload("alexnet")
    with pytest.raises(SpecError, match=r"networks\[1\]: a space of networks"):
        catalog.workload("alexnet+mine")


@pytest.mark.parametrize(
    ("value", "expected"), [(19.2, 24), (28.8, 32), (18, 24), (41.6, 40), (4, 8), (204.8, 208)]
)
def test_channels_are_rounded_as_mobilenets_are(value, expected):
    # 16 x 1.2, 24 x 1.2, 72 // 4, 64 x 0.65 and 256 x 0.8 of released networks
    assert Expression("divisible(x, 8)").integer({"x": value}) == expected
    array = np.array([value, 100.0])
    assert Expression("divisible(x, 8)").array({"x": array}).tolist() == [expected, 104]
    with pytest.raises(SpecError, match="divisible by 0"):
        Expression("divisible(x, 0)").value({"x": value})
