"""Workloads imported from torch modules and ONNX files."""

import pytest

from dse.cli import main
from dse.domain.problem import SHAPES
from dse.errors import SpecError
from dse.files import parse_yaml
from dse.importers.found import Finder
from dse.space.workload import parse_workload, read_workload


def by_name(imported):
    return {layer.name: layer for layer in imported.workload}


def test_equal_layers_are_merged():
    finder = Finder()
    for name in ("a", "b", "a"):
        finder.matmul(name, 2, 3, 4, 1, "own")
    finder.matmul("a", 2, 3, 5, 1, "own")
    layers = finder.imported("net").workload.layers
    assert [(x.name, x.count) for x in layers] == [("a", 3), ("a_2", 1)]


def test_transposed_convolutions():
    finder = Finder()
    finder.transposed_convolution("up", 1, (64, 32), 1, (7, 7), (2, 2), (2, 2), (1, 1))
    finder.transposed_convolution("odd", 1, (8, 4), 1, (7, 7), (3, 3), (2, 2), (1, 1))
    imported = finder.imported("net")
    assert imported.workload.layers[0].problem.macs == 7 * 7 * 64 * 32 * 4
    assert imported.workload.layers[0].weight_words == 64 * 32 * 4
    assert len(imported.notes) == 1
    assert "78% more MACs" in imported.notes[0]


def test_nothing_found_is_an_error():
    finder = Finder()
    finder.convolution("cube", 1, (1, 1), 1, (2,) * 4, (1,) * 4, (1,) * 4, (1,) * 4)
    with pytest.raises(SpecError, match="no layer could be imported; skipped: cube"):
        finder.imported("net")


def test_the_file_reads_back():
    finder = Finder()
    finder.convolution("c/1", 2, (8, 8), 8, (5, 6), (3, 1), (2, 2), (1, 1))
    finder.convolution("c/2", 1, (8, 16), 4, (5, 6), (3, 3), (1, 1), (2, 2))
    finder.matmul("qk", 4, 5, 6, 7, "none")
    imported = finder.imported("net")
    text = imported.yaml("it's a net", "here")
    assert parse_workload(parse_yaml(text, "net.yaml"), "net.yaml") == imported.workload


class TestTorch:
    @pytest.fixture
    def torch(self):
        return pytest.importorskip("torch")

    def test_convolutions(self, torch):
        from dse.importers import from_torch

        nn = torch.nn
        net = nn.Sequential(
            nn.Conv2d(3, 8, (3, 5), stride=(1, 2), padding=1),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, groups=8, padding=1),
            nn.Conv2d(8, 16, 3, groups=4, dilation=2),
            nn.ConvTranspose2d(16, 4, 2, stride=2),
            nn.Conv2d(4, 4, 3, padding=1),
            nn.Conv2d(4, 4, 3, padding=1),
        )
        found = from_torch(net, (torch.zeros(1, 3, 16, 16),), "net")
        assert not found.skipped
        layers = by_name(found)
        first = layers["_0"].problem
        assert first.bounds == {"R": 5, "S": 3, "P": 7, "Q": 16, "C": 3, "K": 8, "N": 1}
        assert first.coefficients["Wstride"] == 2
        assert first.coefficients["Hstride"] == 1
        assert layers["_2"].problem.shape == SHAPES["depthwise-cnn-layer"]
        assert layers["_3"].problem.bounds["G"] == 4
        assert layers["_3"].problem.coefficients["Wdilation"] == 2
        assert layers["_5"].count == 2
        weights = sum(p.numel() for n, p in net.named_parameters() if n.endswith("weight"))
        assert found.workload.weight_words == weights

    def test_attention_and_shared_weights(self, torch):
        from dse.importers import from_torch

        class Net(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.attention = torch.nn.MultiheadAttention(32, 4, batch_first=True)
                self.tied = torch.nn.Linear(32, 10, bias=False)

            def forward(self, x):
                y, _ = self.attention(x, x, x, need_weights=False)
                return self.tied(y), self.tied(y[:, :1])

        found = from_torch(Net(), (torch.zeros(1, 6, 32),), "net")
        assert not found.skipped
        macs = 6 * 32 * 96 + 2 * 4 * 6 * 6 * 8 + 6 * 32 * 32 + 7 * 32 * 10
        assert found.workload.macs == macs
        assert found.workload.weight_words == 4 * 32 * 32 + 320
        assert sum(x.count for x in found.workload if x.weights == "none") == 2

    def test_one_odd_layer_does_not_kill_the_import(self, torch):
        from dse.importers import from_torch

        class Net(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.cube = torch.nn.ConvTranspose3d(1, 2, 3)
                self.line = torch.nn.Linear(4, 4)

            def forward(self, x, y):
                return self.cube(x), self.line(y)

        inputs = (torch.zeros(1, 1, 2, 2, 2), torch.zeros(1, 4))
        found = from_torch(Net(), inputs, "net")
        assert found.workload.macs == 16
        assert [x.macs for x in found.skipped] == [2 * 8 * 27]
        assert found.skipped_share == pytest.approx(432 / 448)


class TestOnnx:
    @pytest.fixture
    def model(self, tmp_path):
        onnx = pytest.importorskip("onnx")
        from onnx import TensorProto, helper

        def weight(name, *dims):
            size = 1
            for n in dims:
                size *= n
            return helper.make_tensor(name, TensorProto.FLOAT, dims, [0.0] * size)

        nodes = [
            helper.make_node("Conv", ["x", "w1"], ["a"], "conv", strides=[2, 2], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["a"], ["b"], "relu"),
            helper.make_node("Conv", ["b", "w2"], ["c"], "dw", group=4, pads=[1, 1, 1, 1]),
            helper.make_node("ConvTranspose", ["c", "w3"], ["d"], "up", strides=[2, 2]),
            helper.make_node("GlobalAveragePool", ["d"], ["e"], "pool"),
            helper.make_node("Flatten", ["e"], ["f"], "flat"),
            helper.make_node("Gemm", ["f", "w4"], ["g"], "fc", transB=1),
            helper.make_node("MatMul", ["f", "f_t"], ["h"], "self"),
            helper.make_node("Transpose", ["f"], ["f_t"], "turn"),
            helper.make_node("LSTM", ["s", "wl", "rl"], ["i"], "memory", hidden_size=2),
            helper.make_node("Einsum", ["f", "f"], ["j"], "sum", equation="bi,bi->b"),
        ]
        nodes[7], nodes[8] = nodes[8], nodes[7]
        graph = helper.make_graph(
            nodes,
            "net",
            [
                helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 8, 8]),
                helper.make_tensor_value_info("s", TensorProto.FLOAT, [5, 1, 3]),
            ],
            [helper.make_tensor_value_info("g", TensorProto.FLOAT, None)],
            [
                weight("w1", 4, 3, 3, 3),
                weight("w2", 4, 1, 3, 3),
                weight("w3", 4, 2, 2, 2),
                weight("w4", 10, 2),
                weight("wl", 1, 8, 3),
                weight("rl", 1, 8, 2),
            ],
        )
        path = tmp_path / "net.onnx"
        onnx.save(helper.make_model(graph), path)
        return path

    def test_import(self, model):
        from dse.importers import from_onnx

        found = from_onnx(model, "net")
        layers = by_name(found)
        assert layers["conv"].problem.bounds == {
            **{"R": 3, "S": 3, "P": 4, "Q": 4, "C": 3, "K": 4, "N": 1}
        }
        assert layers["dw"].problem.shape == SHAPES["depthwise-cnn-layer"]
        assert layers["up"].problem.macs == 4 * 4 * 4 * 2 * 4
        assert layers["fc"].problem.macs == 20
        assert layers["self"].weights == "none"
        assert not found.skipped
        assert layers["memory.input"].problem.macs == 5 * 4 * 2 * 3
        assert sum(x.count * x.problem.macs for x in found.workload if x.name[:6] == "memory") == (
            5 * 4 * 2 * (3 + 2)
        )
        assert (layers["self"].problem.macs, layers["self"].count) == (2, 2)  # the sum is one
        assert found.notes == ("batch = 1: --size batch=N sets it",)
        assert found.workload.weight_words == 4 * 27 + 36 + 32 + 20 + 8 * (3 + 2)
        assert from_onnx(model, "net", {"batch": 3}).workload.macs > 2 * found.workload.macs

    def test_operators_of_other_domains_are_imported_or_named(self, tmp_path):
        """A runtime's fused convolution is one; what nobody knows is not lost without a word."""
        onnx = pytest.importorskip("onnx")
        from onnx import TensorProto, helper

        from dse.importers import from_onnx

        theirs = {"domain": "com.microsoft"}
        weight = helper.make_tensor("w", TensorProto.FLOAT, (4, 3, 3, 3), [0.0] * 108)
        shapes = {"x": [1, 3, 8, 8], "a": [1, 4, 6, 6], "b": [1, 4, 6, 6], "c": [1, 4, 6, 6]}
        values = {
            n: helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shapes.items()
        }
        nodes = [
            helper.make_node("FusedConv", ["x", "w"], ["a"], "fused", activation="Relu", **theirs),
            helper.make_node("FastGelu", ["a"], ["b"], "gelu", **theirs),
            helper.make_node("SecretProduct", ["b"], ["c"], "secret", **theirs),
        ]
        inner = [values[n] for n in "ab"]
        graph = helper.make_graph(
            nodes, "net", [values["x"]], [values["c"]], [weight], value_info=inner
        )
        onnx.save(helper.make_model(graph), tmp_path / "net.onnx")
        found = from_onnx(tmp_path / "net.onnx", "net")
        assert found.workload.macs == 36 * 4 * 27
        assert [(x.name, x.kind) for x in found.skipped] == [("secret", "SecretProduct")]

    def test_command(self, model, tmp_path, capsys):
        target = tmp_path / "mine.yaml"
        assert main(["import", str(model), "--name", "mine", "-o", str(target)]) == 0
        out = capsys.readouterr().out
        assert "unique layers" in out
        assert "skipped" not in out
        assert read_workload(target).name == "mine"
        assert main(["import", str(model), "-o", str(target)]) == 2
        assert main(["import", str(tmp_path / "no.onnx")]) == 2
        (tmp_path / "bad.onnx").write_text("no model")
        assert main(["import", str(tmp_path / "bad.onnx"), "-o", str(tmp_path / "b.yaml")]) == 2
