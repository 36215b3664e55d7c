"""Every operator of ONNX and its runtime that multiplies: its MACs, counted here by hand."""

import math

import pytest

pytest.importorskip("onnx")

from onnx_models import RUNTIME, TensorProto, helper, integers, node, parameter, save, value

from dse.cli import main
from dse.importers import from_onnx
from dse.space.workload import read_workload

U8, I8, F16 = TensorProto.UINT8, TensorProto.INT8, TensorProto.FLOAT16
SCALES = [parameter("s", 1), parameter("z", 1, kind=U8), parameter("zi", 1, kind=I8)]


def conv(*spatial, kernel=3, channels=(4, 6), groups=1):
    """MACs of a convolution without padding whose output is so large."""
    taps = kernel ** len(spatial)
    return math.prod(spatial) * taps * channels[0] * channels[1] // groups


def heads(queries, keys, size, value_size, batch):
    return batch * queries * keys * (size + value_size)


X4, X3 = value("x", 1, 4, 8, 8), value("x", 2, 5, 16)
#: By name: nodes, inputs, parameters, MACs, words of parameters.
MODELS = {
    "conv-1d": (
        [node("Conv", "x w", "y")],
        [value("x", 1, 4, 8)],
        [parameter("w", 6, 4, 3)],
        conv(6),
        72,
    ),
    "conv-3d": (
        [node("Conv", "x w", "y", strides=[2, 1, 1])],
        [value("x", 1, 4, 9, 8, 7)],
        [parameter("w", 6, 4, 3, 3, 3)],
        conv(4, 6, 5),
        648,
    ),
    "conv-3d-depthwise": (
        [node("Conv", "x w", "y", group=4)],
        [value("x", 2, 4, 5, 5, 5)],
        [parameter("w", 4, 1, 3, 3, 3)],
        2 * 27 * 27 * 4,
        108,
    ),
    "conv-same": (
        [node("Conv", "x w", "y", auto_pad="SAME_UPPER", strides=[2, 2])],
        [value("x", 1, 4, 9, 9)],
        [parameter("w", 6, 4, 3, 3)],
        conv(5, 5),
        216,
    ),
    "conv-transpose": (
        [node("ConvTranspose", "x w", "y", strides=[2, 2])],
        [X4],
        [parameter("w", 4, 6, 2, 2)],
        8 * 8 * 4 * 4 * 6,
        96,
    ),
    "conv-integer": (
        [node("ConvInteger", "x w", "y")],
        [value("x", 1, 4, 8, 8, kind=U8)],
        [parameter("w", 6, 4, 3, 3, kind=I8)],
        conv(6, 6),
        216,
    ),
    "qlinear-conv": (
        [node("QLinearConv", "x s z w s zi s z", "y")],
        [value("x", 1, 4, 8, 8, kind=U8)],
        [*SCALES, parameter("w", 6, 4, 3, 3, kind=I8)],
        conv(6, 6),
        216,
    ),
    "qlinear-conv-channels-last": (
        [node("QLinearConv", "x s z w s zi s z", "y", domain=RUNTIME, channels_last=1)],
        [value("x", 1, 8, 8, 4, kind=U8)],
        [*SCALES, parameter("w", 6, 4, 3, 3, kind=I8)],
        conv(6, 6),
        216,
    ),
    "deformable": (
        [node("DeformConv", "x w o", "y")],
        [X4, value("o", 1, 18, 6, 6)],
        [parameter("w", 6, 4, 3, 3)],
        conv(6, 6),
        216,
    ),
    "fused-conv": (
        [node("FusedConv", "x w", "y", domain=RUNTIME, pads=[1, 1, 1, 1], activation="Relu")],
        [X4],
        [parameter("w", 6, 4, 3, 3)],
        conv(8, 8),
        216,
    ),
    "channels-last": (
        [node("NhwcConv", "x w", "y", domain=RUNTIME, dilations=[2, 2])],
        [value("x", 1, 8, 8, 4, kind=F16)],
        [parameter("w", 6, 4, 3, 3, kind=F16)],
        conv(4, 4),
        216,
    ),
    "fused-chain": (
        # ONNX knows none of these shapes by itself
        [
            node("FusedConv", "x w", "a", domain=RUNTIME),
            node("FastGelu", "a", "b", domain=RUNTIME),
            node("Flatten", "b", "c"),
            node("MatMul", "c v", "d"),
            node("FusedGemm", "d u", "y", domain=RUNTIME, transB=1),
        ],
        [X4],
        [parameter("w", 6, 4, 3, 3), parameter("v", 216, 10), parameter("u", 3, 10)],
        conv(6, 6) + 2160 + 30,
        216 + 2160 + 30,
    ),
    "gemm": (
        [node("Gemm", "x w", "y", transA=1, transB=1)],
        [value("x", 16, 5)],
        [parameter("w", 7, 16)],
        5 * 16 * 7,
        112,
    ),
    "matmul-batched": (
        [node("MatMul", "x v", "y")],
        [value("x", 2, 3, 5, 16), value("v", 3, 16, 7)],
        [],
        6 * 5 * 16 * 7,
        0,
    ),
    "matmul-weights-left": (
        [node("MatMul", "w x", "y")],
        [value("x", 2, 16, 7)],
        [parameter("w", 5, 16)],
        2 * 5 * 16 * 7,
        80,
    ),
    "matmul-vector": (
        [node("MatMul", "x w", "y")],
        [value("x", 16)],
        [parameter("w", 16, 7)],
        16 * 7,
        112,
    ),
    "matmul-integer": (
        [node("MatMulInteger", "x w", "y")],
        [value("x", 2, 5, 16, kind=U8)],
        [parameter("w", 16, 7, kind=I8)],
        10 * 16 * 7,
        112,
    ),
    "matmul-integer-to-float": (
        [node("MatMulIntegerToFloat", "x w s s", "y", domain=RUNTIME)],
        [value("x", 2, 5, 16, kind=U8)],
        [*SCALES, parameter("w", 16, 7, kind=I8)],
        10 * 16 * 7,
        112,
    ),
    "dynamic-quantize-matmul": (
        [node("DynamicQuantizeMatMul", "x w s", "y", domain=RUNTIME)],
        [X3],
        [*SCALES, parameter("w", 16, 7, kind=I8)],
        10 * 16 * 7,
        112,
    ),
    "qlinear-matmul": (
        [node("QLinearMatMul", "x s z w s zi s z", "y")],
        [value("x", 5, 16, kind=U8)],
        [*SCALES, parameter("w", 16, 7, kind=I8)],
        5 * 16 * 7,
        112,
    ),
    "qgemm": (
        [node("QGemm", "x s z w s zi", "y", domain=RUNTIME, transB=1)],
        [value("x", 5, 16, kind=U8)],
        [*SCALES, parameter("w", 7, 16, kind=I8)],
        5 * 16 * 7,
        112,
    ),
    "matmul-4-bits": (
        [node("MatMulNBits", "x w s", "y", domain=RUNTIME, K=16, N=7, bits=4, block_size=16)],
        [X3],
        [*SCALES, parameter("w", 7, 1, 8, kind=U8)],
        10 * 16 * 7,
        112,
    ),
    "fused-matmul": (
        [node("FusedMatMul", "x v", "y", domain=RUNTIME, transB=1, alpha=0.25)],
        [X3, value("v", 2, 7, 16)],
        [],
        2 * 5 * 16 * 7,
        0,
    ),
    "fused-matmul-of-heads-that-come-second": (
        [
            node(
                *("FusedMatMul", "x v", "y"),
                domain=RUNTIME,
                transBatchA=1,
                transBatchB=1,
                transB=1,
            )
        ],
        [value("x", 17, 4, 8), value("v", 19, 4, 8)],
        [],
        4 * 17 * 8 * 19,
        0,
    ),
    "einsum-heads": (
        [node("Einsum", "x w", "y", equation="bshi,hio->bsho")],
        [value("x", 2, 5, 4, 16)],
        [parameter("w", 4, 16, 8)],
        2 * 5 * 4 * 16 * 8,
        512,
    ),
    "einsum-scores": (
        [node("Einsum", "q k", "y", equation="...qd, ...kd -> ...qk")],
        [value("q", 2, 4, 5, 16), value("k", 2, 4, 7, 16)],
        [],
        8 * 5 * 7 * 16,
        0,
    ),
    "einsum-weights-left": (
        [node("Einsum", "w x", "y", equation="oi,bi->bo")],
        [value("x", 3, 16)],
        [parameter("w", 7, 16)],
        3 * 16 * 7,
        112,
    ),
    "einsum-implicit": (
        [node("Einsum", "x v", "y", equation="ij,jk")],
        [value("x", 3, 16), value("v", 16, 7)],
        [],
        3 * 16 * 7,
        0,
    ),
    "lstm": (
        [node("LSTM", "x w r", "y", hidden_size=8)],
        [value("x", 12, 2, 16)],
        [parameter("w", 1, 32, 16), parameter("r", 1, 32, 8)],
        12 * 2 * 32 * (16 + 8),
        32 * 24,
    ),
    "lstm-both-ways": (
        [node("LSTM", "x w r", "y", hidden_size=8, direction="bidirectional", layout=1)],
        [value("x", 2, 12, 16)],
        [parameter("w", 2, 32, 16), parameter("r", 2, 32, 8)],
        2 * 12 * 2 * 32 * (16 + 8),
        2 * 32 * 24,
    ),
    "lstm-quantized": (
        [node("DynamicQuantizeLSTM", "x w r", "y", domain=RUNTIME, hidden_size=8)],
        [value("x", 12, 2, 16)],
        [parameter("w", 1, 16, 32, kind=I8), parameter("r", 1, 8, 32, kind=I8)],
        12 * 2 * 32 * (16 + 8),
        32 * 24,
    ),
    "gru": (
        [node("GRU", "x w r", "y", hidden_size=8)],
        [value("x", 12, 2, 16)],
        [parameter("w", 1, 24, 16), parameter("r", 1, 24, 8)],
        12 * 2 * 24 * 24,
        24 * 24,
    ),
    "rnn-one-step": (
        [node("RNN", "x w r", "y", hidden_size=8)],
        [value("x", 1, 2, 16)],
        [parameter("w", 1, 8, 16), parameter("r", 1, 8, 8)],
        2 * 8 * 24,
        8 * 24,
    ),
    "attention-4d": (
        [node("Attention", "q k v", "y")],
        [value("q", 2, 8, 5, 16), value("k", 2, 2, 7, 16), value("v", 2, 2, 7, 12)],
        [],
        heads(5, 7, 16, 12, 16),
        0,
    ),
    "attention-3d-with-past": (
        [node("Attention", "q k v  pk pv", "y a b", q_num_heads=4, kv_num_heads=2)],
        [
            *(value("q", 2, 5, 64), value("k", 2, 5, 32), value("v", 2, 5, 32)),
            *(value("pk", 2, 2, 9, 16), value("pv", 2, 2, 9, 16)),
        ],
        [],
        heads(5, 14, 16, 16, 8),
        0,
    ),
    "runtime-attention": (
        [
            node("Attention", "x w b", "a", domain=RUNTIME, num_heads=4),
            node("MatMul", "a v", "y"),
        ],
        [X3],
        [parameter("w", 16, 48), parameter("b", 48), parameter("v", 16, 3)],
        10 * 16 * 48 + heads(5, 5, 4, 4, 8) + 10 * 16 * 3,
        16 * 48 + 48,
    ),
    "quantized-attention": (
        [node("QAttention", "x w b s s  z zi p", "y q", domain=RUNTIME, num_heads=4)],
        [value("x", 2, 5, 16, kind=U8), value("p", 2, 2, 4, 3, 4)],
        [*SCALES, parameter("w", 16, 48, kind=I8), parameter("b", 48)],
        10 * 16 * 48 + heads(5, 8, 4, 4, 8),
        16 * 48,
    ),
    "multi-head-attention": (
        [node("MultiHeadAttention", "q k v", "y", domain=RUNTIME, num_heads=4)],
        [X3, value("q", 2, 5, 16), value("k", 2, 7, 16), value("v", 2, 7, 32)],
        [],
        heads(5, 7, 4, 8, 8),
        0,
    ),
    "packed-attention": (
        [node("MultiHeadAttention", "q", "y", domain=RUNTIME, num_heads=4)],
        [value("q", 2, 5, 4, 3, 8)],
        [],
        heads(5, 5, 8, 8, 8),
        0,
    ),
    "grouped-attention": (
        [
            node(
                "GroupQueryAttention",
                *("q k v pk pv n t", "y a b"),
                domain=RUNTIME,
                num_heads=8,
                kv_num_heads=2,
            )
        ],
        [
            *(value("q", 1, 5, 64), value("k", 1, 5, 16), value("v", 1, 5, 16)),
            *(value("pk", 1, 2, 11, 8), value("pv", 1, 2, 11, 8), value("n", 1), value("t", 1)),
        ],
        [],
        heads(5, 16, 8, 8, 8),
        0,
    ),
}


@pytest.fixture
def zoo(tmp_path):
    def made(name):
        nodes, inputs, parameters, macs, words = MODELS[name]
        used = {n for one in nodes for n in one.input}
        own = [p for p in parameters if p.name in used]
        return save(tmp_path / f"{name}.onnx", nodes, inputs, own), macs, words

    return made


@pytest.mark.parametrize("name", MODELS)
def test_all_macs_are_there(zoo, name):
    path, macs, words = zoo(name)
    found = from_onnx(path, "net")
    assert not found.skipped
    assert found.workload.macs == macs
    assert found.workload.weight_words == words
    assert not found.is_partial


@pytest.mark.parametrize("name", ["lstm", "conv-3d", "matmul-4-bits", "einsum-heads"])
def test_the_file_that_is_written_reads_back(zoo, name, tmp_path):
    found = from_onnx(zoo(name)[0], "net")
    found.write(tmp_path / "net.yaml", "a model", "here")
    assert read_workload(tmp_path / "net.yaml") == found.workload


#: Operators of which no layers are made: they are named, and so is how many MACs they have.
UNKNOWN = {
    "DFT": ([node("DFT", "x", "y")], [value("x", 1, 8, 1)]),
    "MoE": ([node("MoE", "x x x", "y", domain=RUNTIME)], [X3]),
    "SparseAttention": ([node("SparseAttention", "x x x", "y", domain=RUNTIME)], [X3]),
    "Secret": ([node("Secret", "x", "y", domain="org.own")], [X3]),
    "Conv": ([node("Conv", "x w", "y")], [value("x", 1, 1, 4, 4, 4, 4)]),
    "ConvTranspose": (
        [node("ConvTranspose", "x w", "y", dilations=[2, 2, 2, 2])],
        [value("x", 1, 1, 4, 4, 4, 4)],
    ),
    "Einsum": ([node("Einsum", "x x x", "y", equation="bij,bij,bij->b")], [X3]),
}


@pytest.mark.parametrize("kind", UNKNOWN)
def test_what_cannot_be_imported_is_named_and_nothing_is_written(kind, tmp_path, capsys):
    nodes, inputs = UNKNOWN[kind]
    taps = [parameter("w", 1, 1, 2, 2, 2, 2)] if "w" in nodes[0].input else []
    more = [node("MatMul", "u v", "last")]
    path = save(
        tmp_path / "net.onnx",
        [*nodes, *more],
        [*inputs, value("u", 5, 4)],
        [*taps, parameter("v", 4, 3)],
    )
    found = from_onnx(path, "net")
    assert [(item.name, item.kind) for item in found.skipped] == [(kind, kind)]
    assert found.workload.macs == 60
    assert found.is_partial
    target = tmp_path / "net.yaml"
    assert main(["import", str(path), "-o", str(target)]) == 1
    told = capsys.readouterr()
    assert f"{kind} ({kind}): " in told.out
    assert "--allow-partial" in told.err
    assert not target.exists()
    assert main(["import", str(path), "-o", str(target), "--allow-partial"]) == 0
    assert read_workload(target).macs == 60
    # nor is it searched
    assert main(["show", str(path)]) == 1
    assert f"{kind} ({kind}): " in capsys.readouterr().err


def test_the_share_of_what_is_missing_is_told(tmp_path, capsys, caplog):
    """Less than one per cent of the MACs may be missing."""
    nodes = [
        node("Conv", "x w", "y", "cube"),
        node("MatMul", "u v", "z", "large"),
    ]
    given = [value("x", 1, 1, 2, 2, 2, 2), value("u", 10, 100)]
    weights = [parameter("w", 1, 1, 2, 2, 2, 2), parameter("v", 100, 10)]
    path = save(tmp_path / "net.onnx", nodes, given, weights)
    assert main(["import", str(path), "-o", str(tmp_path / "net.yaml")]) == 0
    assert "cube (Conv): 0.16%, 0.000 M MACs; 4 spatial dimensions" in capsys.readouterr().out
    assert main(["show", str(path)]) == 0
    assert "cube (Conv): 0.16%" in caplog.text


def test_symbolic_dimensions_are_asked_for_by_name(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    nodes = [node("MatMul", "x w", "y"), node("MatMul", "y t", "z"), node("MatMul", "t q", "p")]
    given = [value("x", "batch", "seq", 16), value("t", 7, None), value("q", 5, 4)]
    save(tmp_path / "net.onnx", nodes, given, [parameter("w", 16, 7)])
    assert main(["import", "net.onnx"]) == 2
    told = capsys.readouterr().err
    assert "seq (of input 'x'), t.1 (of input 't'); --size seq=N --size t.1=N" in told
    assert main(["import", "net.onnx", "--size", "seqq=4"]) == 2
    assert "unknown symbolic dimension 'seqq'; did you mean 'seq'?" in capsys.readouterr().err
    sizes = ["--size", "seq=3", "--size", "t.1=5"]
    assert main(["import", "net.onnx", *sizes]) == 0
    assert "batch = 1: --size batch=N sets it" in capsys.readouterr().out
    assert read_workload(tmp_path / "net.yaml").macs == 3 * 16 * 7 + 3 * 7 * 5 + 7 * 5 * 4
    more = [*sizes, "--size", "batch=2", "--force"]
    assert main(["import", "net.onnx", *more]) == 0
    assert read_workload(tmp_path / "net.yaml").macs == 2 * (3 * 16 * 7 + 3 * 7 * 5) + 7 * 5 * 4


def test_a_model_is_a_workload(tmp_path, monkeypatch, capsys):
    from dse.runner.config import resolve
    from dse.runner.files import read_inputs

    monkeypatch.chdir(tmp_path)
    save(
        tmp_path / "net.onnx",
        [node("MatMul", "x w", "y", "/layer1/layer1.0/fc/MatMul")],
        [value("x", 1, "seq", 16)],
        [parameter("w", 16, 7)],
    )
    found = read_inputs(resolve({"workload": "net.onnx", "parameters": {"seq": 6}}))
    (layer,) = found.workload
    assert (layer.name, layer.problem.macs) == ("layer1.0.fc", 6 * 16 * 7)
    # a run's copy is read with the same parameters
    (tmp_path / "copy.yaml").write_bytes(found.workload_file.read_bytes())
    assert read_workload(tmp_path / "copy.yaml", {"seq": 6}) == found.workload
    both = read_inputs(resolve({"workload": "net.onnx+vgg16", "parameters": {"seq": 6}}))
    assert [network.name for network in both.workload.networks] == ["net", "vgg16"]
    assert main(["show", "net.onnx"]) == 2
    assert "parameters.seq=N" in capsys.readouterr().err
    assert main(["import", "net.onnx", "--name", "mine", "--size", "seq=6"]) == 0
    assert "use it with workload=mine" in capsys.readouterr().out
    assert read_inputs(resolve({"workload": "mine"})).workload.layers == found.workload.layers
    assert main(["show", "mine"]) == 0
    assert "layer1.0.fc" in capsys.readouterr().out
    # a built-in network's name goes on being the built-in network's
    assert main(["import", "net.onnx", "--name", "vgg16", "--size", "seq=6"]) == 0
    assert "use it with workload=./vgg16.yaml" in capsys.readouterr().out
    assert read_inputs(resolve({"workload": "vgg16"})).workload.macs > 10**10


def test_layers_have_the_names_of_their_modules(tmp_path):
    new = node("MatMul", "x w", "y", "node_linear")
    entry = new.metadata_props.add()
    entry.key, entry.value = "pkg.torch.onnx.name_scopes", "['', 'blocks.0.mlp', 'linear']"
    old = node("MatMul", "y v", "z", "/blocks/blocks.1/mlp/MatMul")
    plain = node("MatMul", "z u", "a", "plain")
    unnamed = node("MatMul", "a t", "b")
    unnamed.name = ""
    weights = [parameter("w", 4, 5), parameter("v", 5, 6), parameter("u", 6, 7)]
    path = save(
        tmp_path / "net.onnx",
        [new, old, plain, unnamed],
        [value("x", 2, 4)],
        [*weights, parameter("t", 7, 8)],
    )
    names = [layer.name for layer in from_onnx(path, "net").workload]
    assert names == ["blocks.0.mlp", "blocks.1.mlp", "plain", "MatMul_3"]


#: By name of a model: bits of parameters, inputs and outputs, where they are no plain floats.
PRECISIONS = {
    "qlinear-conv": (8, 8, 8),
    "conv-integer": (8, 8, 32),
    "channels-last": (16, 16, 16),
    "matmul-integer-to-float": (8, 8, None),
    "dynamic-quantize-matmul": (8, 32, None),
    "matmul-4-bits": (4, 32, None),
    "gemm": None,
}


@pytest.mark.parametrize("name", PRECISIONS)
def test_precision_is_kept(zoo, name):
    (layer,) = from_onnx(zoo(name)[0], "net").workload
    found = dict(layer.precision)
    expected = PRECISIONS[name]
    if expected is None:
        assert not found
    else:
        for tensor, bits in zip(("Weights", "Inputs", "Outputs"), expected, strict=True):
            assert bits is None or found[tensor] == bits


def test_precision_of_a_model_that_quantizes_and_back(tmp_path, capsys):
    """Floats between a DequantizeLinear and a QuantizeLinear stand for what was quantized."""
    nodes = [
        node("QuantizeLinear", "x s z", "xq"),
        node("DequantizeLinear", "xq s z", "xd"),
        node("DequantizeLinear", "w s", "wd"),
        node("Transpose", "wd", "wt", perm=[1, 0]),
        node("MatMul", "xd wt", "y", "fc"),
        node("Relu", "y", "r"),
        node("QuantizeLinear", "r s z", "q"),
    ]
    weights = [parameter("w", 7, 16, kind=TensorProto.INT4), *SCALES[:2]]
    path = save(tmp_path / "net.onnx", nodes, [value("x", 5, 16)], weights)
    found = from_onnx(path, "net")
    (layer,) = found.workload
    assert dict(layer.precision) == {"Weights": 4, "Inputs": 8, "Outputs": 8}
    assert layer.weights == "own"
    assert main(["show", str(path)]) == 0
    assert "(Weights 4 bits, Inputs 8 bits, Outputs 8 bits)" in capsys.readouterr().out


def test_layers_of_other_precision_are_other_layers(tmp_path):
    nodes = [
        node("MatMul", "x w", "a", "one"),
        node("MatMul", "x v", "b", "two"),
        node("MatMulInteger", "y i", "c", "three"),
    ]
    given = [value("x", 5, 16), value("y", 5, 16, kind=U8)]
    weights = [parameter("w", 16, 7), parameter("v", 16, 7), parameter("i", 16, 7, kind=I8)]
    found = from_onnx(save(tmp_path / "net.onnx", nodes, given, weights), "net")
    assert [(x.name, x.count) for x in found.workload] == [("one", 2), ("three", 1)]


def test_functions_and_graphs_within_the_graph(tmp_path):
    body = [node("MatMul", "a b", "c", "inside")]
    opset = [helper.make_opsetid("", 23)]
    function = helper.make_function("own.lib", "Linear", ["a", "b"], ["c"], body, opset)
    branch = [
        helper.make_graph([node("Relu", "y", f"r{i}")], "b", [], [value(f"r{i}", 5, 7)])
        for i in (0, 1)
    ]
    nodes = [
        node("Linear", "x w", "y", domain="own.lib"),
        node("If", "k", "z", "free", then_branch=branch[0], else_branch=branch[1]),
    ]
    given = [value("x", 5, 16), value("k", 1, kind=TensorProto.BOOL)]
    weights = [parameter("w", 16, 7)]
    path = save(tmp_path / "net.onnx", nodes, given, weights, functions=[function])
    found = from_onnx(path, "net")
    assert found.workload.macs == 5 * 16 * 7
    assert not found.skipped
    branch[0].node[0].CopyFrom(node("MatMul", "x w", "r0"))
    nodes[1] = node("If", "k", "z", "busy", then_branch=branch[0], else_branch=branch[1])
    found = from_onnx(save(path, nodes, given, weights, functions=[function]), "net")
    assert [(item.name, item.macs) for item in found.skipped] == [("busy", None)]


def test_reshaped_shapes_follow_given_sizes(tmp_path):
    """The sizes of later layers are computed in the graph, from those of the input."""
    nodes = [
        node("Shape", "x", "n"),
        node("Gather", "n one", "seq"),
        node("Concat", "seq rest", "to", axis=0),
        node("Reshape", "x to", "flat"),
        node("MatMul", "flat w", "y"),
    ]
    weights = [integers("one", 1), integers("rest", 2, 8), parameter("w", 8, 3)]
    path = save(tmp_path / "net.onnx", nodes, [value("x", 1, "seq", 16)], weights)
    assert from_onnx(path, "net", {"seq": 9}).workload.macs == 9 * 2 * 8 * 3
