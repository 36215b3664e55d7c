"""The built-in networks against published totals; parameters of workloads."""

import pytest
import yaml

from dse.errors import SpecError
from dse.space import catalog
from dse.space.workload import parse_workload, without_labels

_BERT_LAYER_EXTRAS = 12 * (2304 + 768 + 3072 + 768 + 4 * 768)  # biases and normalisations

#: Published parameters, and how many of them are no weights of a layer: biases,
#: normalisations, embeddings. ResNets to ViT and RetinaNet: torchvision's documentation of its
#: models (the latter without frozen normalisations); U-Net: layer by layer from figure 1.
PARAMETERS = {
    "alexnet": (61_100_840, 10_344),
    "bert_base": (
        109_482_240,
        (30_522 + 512 + 2) * 768 + 2 * 768 + _BERT_LAYER_EXTRAS + 768,
    ),
    "gpt2": (124_439_808, 1024 * 768 + 2 * 768 + _BERT_LAYER_EXTRAS),
    "llama3_8b_decode": (8_030_261_248, 128_256 * 4096 + 65 * 4096),
    "llama3_8b_prefill": (8_030_261_248, 128_256 * 4096 + 65 * 4096),
    "mnasnet": (4_383_312, 38_920),
    "mobilenet_v2": (3_504_872, 35_112),
    "resnet18": (11_689_512, 10_600),
    "resnet50": (25_557_032, 54_120),
    "resnext50_32x4d": (25_028_904, 69_224),
    "dosa_resnext50": (25_028_904, 69_224),
    "retinanet": (34_014_999, 4_951),
    "squeezenet": (1_235_496, 3_944),
    "unet": (31_030_658, 2 * (64 + 128 + 256 + 512) * 2 + 2 * 1024 + 64 + 128 + 256 + 512 + 2),
    "vgg16": (138_357_544, 13_416),
    "vit_b16": (86_567_656, 275_176),
}

#: GMACs as torchvision documents them ("GFLOPS"), to the digits printed there.
GMACS = {
    "alexnet": 0.71,
    "mnasnet": 0.31,
    "mobilenet_v2": 0.30,
    "resnet18": 1.81,
    "resnet50": 4.09,
    "resnext50_32x4d": 4.23,
    "retinanet": 151.54,
    "squeezenet": 0.35,
    "vgg16": 15.47,
    "vit_b16": 17.56,
}


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_parameters_are_the_published_ones(name):
    published, others = PARAMETERS[name]
    assert catalog.workload(name).weight_words + others == published


@pytest.mark.parametrize("name", sorted(GMACS))
def test_macs_are_the_published_ones(name):
    assert round(catalog.workload(name).macs / 1e9, 2) == GMACS[name]


def test_transformers_count_what_their_dimensions_say():
    def projections(tokens):  # weights of the projections and feed-forward of 12 layers
        return 12 * 12 * 768**2 * tokens

    bert = catalog.workload("bert_base", {"tokens": 128})
    attention = 12 * 2 * 128**2 * 768
    assert bert.macs == projections(128) + attention + 768**2
    gpt = catalog.workload("gpt2")
    assert gpt.macs == projections(1024) + 12 * 2 * 1024**2 * 768 + 1024 * 768 * 50_257


@pytest.mark.parametrize("context", [1, 2048, 8192])
def test_llama_at_a_context_length(context):
    decode = catalog.workload("llama3_8b_decode", {"context": context})
    prefill = catalog.workload("llama3_8b_prefill", {"context": context})
    layer = 2 * 4096**2 + 2 * 4096 * 1024 + 3 * 4096 * 14_336
    head = 4096 * 128_256
    assert decode.macs == 32 * (layer + 2 * 4096 * context) + head
    assert prefill.macs == 32 * (layer * context + 2 * 4096 * context**2) + head
    assert decode.weight_words == prefill.weight_words == 32 * layer + head


def test_unet_up_convolutions_do_only_the_work_there_is():
    # DOSA counts every tap for every output, four times the work of a 2 x 2 window of stride 2
    extra = 3 * sum(
        x.problem.macs
        for x in catalog.workload("unet")
        if x.name.startswith("up") and x.name[3:] == "_conv"
    )
    assert catalog.workload("unet").macs + extra == catalog.workload("dosa_unet").macs


def bottlenecks(width, groups):
    """Return the convolutions of a ResNet of 50 layers by module path, as (window, P, C, K, step).

    He et al., CVPR 2016, table 1; Xie et al., CVPR 2017, table 1. ``width``: of the first stage's
    3 x 3 convolutions; C is that of one group.
    """
    found = {"conv1": (7, 112, 3, 64, 2)}
    inner, channels, size = width, 64, 56
    for stage, blocks in enumerate((3, 4, 6, 3), 1):
        outer = 256 * 2 ** (stage - 1)
        for block in range(blocks):
            name, step = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            found[f"{name}.conv1"] = (1, size, channels, inner, 1)
            size //= step
            found[f"{name}.conv2"] = (3, size, inner // groups, inner, step)
            found[f"{name}.conv3"] = (1, size, inner, outer, 1)
            if block == 0:
                found[f"{name}.downsample.0"] = (1, size, channels, outer, step)
            channels = outer
        inner *= 2
    return {**found, "fc": (1, 1, 2048, 1000, 1)}


@pytest.mark.parametrize(
    ("workload", "width", "groups"),
    [("resnet50", 64, 1), ("resnext50_32x4d", 128, 32), ("dosa_resnext50", 128, 32)],
)
def test_layers_of_a_resnet_are_called_as_the_first_module_of_their_sizes(workload, width, groups):
    modules = bottlenecks(width, groups)
    firsts = {sizes: name for name, sizes in reversed(modules.items())}
    found = {}
    for layer in catalog.workload(workload):
        n, step = layer.problem.bounds, layer.problem.coefficients["Wstride"]
        assert (n["S"], n["Q"]) == (n["R"], n["P"])
        sizes = (n["R"], n["P"], n["C"], n["K"] * n.get("G", 1), step)
        assert layer.name == firsts[sizes]
        assert layer.count == list(modules.values()).count(sizes)
        found[layer.name] = layer.count
    assert sum(found.values()) == len(modules)
    assert list(found) == [name for name in modules if name in found]


def test_the_lists_of_dosa_have_the_names_of_the_whole_networks():
    whole, own = catalog.workload("unet"), catalog.workload("dosa_unet")
    assert [x.name for x in own] == [x.name for x in whole]
    for a, b in zip(whole, own, strict=True):
        assert a.problem == b.problem or a.name.startswith("up")
    bert = catalog.workload("bert_base", {"tokens": 128})
    for layer in catalog.workload("dosa_bert").layers[1:]:
        n, of = layer.problem.bounds, bert.layer(layer.name).problem.bounds
        assert [n[d] for d in "PCK"] == [of[d] for d in "PCK"]


@pytest.mark.parametrize(
    ("workload", "old", "new"),
    [
        ("resnet50", "_outputs_input.132", "layer4.0.downsample.0"),
        ("alexnet", "_outputs_210", "fc6"),
        ("vgg16", "conv5", "conv5_1"),
        ("dosa_bert", "mm_2", "attention_values"),
        ("dosa_retinanet", "p6_1", "p6_conv1x1"),
        ("dosa_unet", "8_2_conv", "classes"),
        ("alexnet+dosa_bert", "dosa_bert/mm_0", "dosa_bert/query"),
    ],
)
def test_names_from_before_are_aliases(workload, old, new):
    network = catalog.workload(workload)
    assert network.layer(old) is network.layer(new)
    assert network.layer(old).name == new


def test_no_name_is_that_of_an_export():
    networks = [catalog.workload(name) for name in catalog.names("workload")]
    assert not [x.name for network in networks for x in network if x.name.startswith("_")]


def test_a_layer_that_is_not_there_is_said_with_those_that_are():
    with pytest.raises(SpecError, match="'alexnet': unknown layer 'fc9'; did you mean 'fc"):
        catalog.workload("alexnet").layer("fc9")


def test_files_are_equal_but_for_labels_where_all_numbers_are():
    content = parametric()
    called = {**parametric(), "name": "other", "description": "of mine", "source": "here"}
    called["layers"][0].update(name="b", aliases=["a"])
    assert content != called
    assert without_labels(content) == without_labels(called)
    networks = [{"networks": [x, x]} for x in (content, called)]
    assert without_labels(networks[0]) == without_labels(networks[1])
    called["layers"][0]["C"] = 4
    assert without_labels(content) != without_labels(called)


def test_groups_and_windows():
    shapes = {x.name: x.problem for x in catalog.workload("conv_cases")}
    assert shapes["depthwise"].macs == 9 * 56 * 56 * 144
    assert shapes["grouped"].tensor_size(0) == 9 * 8 * 8 * 32
    dilated = shapes["dilated_18"]
    assert dilated.tensor_size(1) == 2048 * (28 + 2 * 18) ** 2
    grouped = [x for x in catalog.workload("resnext50_32x4d") if "G" in x.problem.dimensions]
    assert {x.problem.bounds["G"] for x in grouped} == {32}


@pytest.mark.parametrize("name", catalog.names("workload"))
def test_every_workload_tells_where_it_is_from(name):
    from dse.files import read_yaml

    content = read_yaml(catalog.find("workload", name))
    assert content["name"] == name
    assert content["description"]
    assert content["source"]


def parametric():
    return {
        "name": "net",
        "parameters": {"tokens": {"default": 4, "max": 8}},
        "layers": [{"name": "a", "P": "2 * tokens", "C": 3, "count": "tokens"}],
    }


def test_parameters_set_bounds_and_counts():
    assert parse_workload(parametric(), "net.yaml").macs == 4 * 8 * 3
    assert parse_workload(parametric(), "net.yaml", {"tokens": 5}).macs == 5 * 10 * 3


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"token": 5}, "net.yaml: unknown parameter 'token'; did you mean 'tokens'"),
        ({"tokens": 9}, "parameter tokens = 9, expected an integer from 1 to 8"),
        ({"tokens": "5"}, "parameter tokens = '5'"),
    ],
)
def test_wrong_parameters(given, message):
    with pytest.raises(SpecError, match=message):
        parse_workload(parametric(), "net.yaml", given)


def test_wrong_arithmetic_names_layer_and_key():
    content = parametric()
    content["layers"][0]["P"] = "tokns"
    with pytest.raises(
        SpecError, match=r"net.yaml: layers\[0\] \('a'\): P: .*did you mean 'tokens'"
    ):
        parse_workload(content, "net.yaml")
    content = parametric()
    content["layers"][0]["weights"] = "mine"
    with pytest.raises(SpecError, match="weights = 'mine', expected own, shared or none"):
        parse_workload(content, "net.yaml")


@pytest.mark.parametrize(("text", "words"), [("Wstride: 0", 3), ("Wstride: -2", 9)])
def test_coefficients_may_be_0_or_negative(text, words):
    content = f"{{name: one, layers: [{{name: a, shape: cnn-layer, R: 3, P: 4, {text}}}]}}"
    problem = parse_workload(yaml.safe_load(content), "made").layers[0].problem
    assert problem.tensor_size(problem.tensors.index("Inputs")) == words


@pytest.mark.parametrize("value", ["1.5", "true", "x"])
def test_coefficients_are_integers(value):
    content = f"{{name: one, layers: [{{name: a, shape: cnn-layer, R: 3, Wstride: {value}}}]}}"
    with pytest.raises(SpecError, match="Wstride"):
        parse_workload(yaml.safe_load(content), "made")
