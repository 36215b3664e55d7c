"""Modules of torch, exported to ONNX by either exporter: the MACs that torch itself counts."""

import re

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")

import torch
from torch import nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from dse.importers import from_onnx, from_torch

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


class Residual(nn.Module):
    """A block of a residual network."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU()
        )
        self.body = nn.Sequential(
            nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1)
        )
        self.shortcut = nn.Conv2d(8, 16, 1, 2)
        self.head = nn.Linear(16, 10)

    def forward(self, x):
        x = self.stem(x)
        x = self.body(x) + self.shortcut(x)
        return self.head(x.mean((2, 3)))


class Separable(nn.Sequential):
    """Depthwise, pointwise, grouped and dilated convolutions."""

    def __init__(self):
        super().__init__(
            nn.Conv2d(3, 8, 1),
            nn.Conv2d(8, 8, 3, groups=8, padding=1),
            nn.Hardswish(),
            nn.Conv2d(8, 16, 3, groups=4, dilation=2),
            nn.Conv2d(16, 4, (1, 5), stride=(2, 1)),
        )


class Unet(nn.Module):
    """Down, up and a skip between."""

    def __init__(self):
        super().__init__()
        self.down = nn.Conv2d(3, 8, 2, 2)
        self.up = nn.ConvTranspose2d(8, 4, 2, 2)
        self.out = nn.Conv2d(7, 2, 3, padding=1)

    def forward(self, x):
        return self.out(torch.cat([self.up(self.down(x)), x], 1))


class Vision(nn.Module):
    """A small vision transformer."""

    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(3, 32, 4, 4)
        self.token = nn.Parameter(torch.zeros(1, 1, 32))
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(32, 5)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1)
        return self.head(self.blocks(x)[:, 0])


class Language(nn.Module):
    """A decoder's block: grouped queries, a gated network, tied embeddings."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(50, 32)
        self.q, self.kv = nn.Linear(32, 32, bias=False), nn.Linear(32, 16, bias=False)
        self.o = nn.Linear(32, 32, bias=False)
        self.gate, self.up = nn.Linear(32, 48, bias=False), nn.Linear(32, 48, bias=False)
        self.down = nn.Linear(48, 32, bias=False)

    def forward(self, x):
        x = self.embedding(x)
        batch, steps = x.shape[:2]
        q = self.q(x).view(batch, steps, 4, 8).transpose(1, 2)
        k, v = self.kv(x).view(batch, steps, 2, 8).transpose(1, 2).split(1, dim=1)
        k, v = k.expand(-1, 4, -1, -1), v.expand(-1, 4, -1, -1)
        y = functional.scaled_dot_product_attention(q, k, v)
        x = x + self.o(y.transpose(1, 2).reshape(batch, steps, 32))
        x = x + self.down(functional.silu(self.gate(x)) * self.up(x))
        return x @ self.embedding.weight.T


class Mixture(nn.Module):
    """Experts that all compute, by Einstein's sums."""

    def __init__(self):
        super().__init__()
        self.gate = nn.Linear(16, 3)
        self.experts = nn.Parameter(torch.zeros(3, 16, 24))

    def forward(self, x):
        y = torch.einsum("bsi,eio->bseo", x, self.experts)
        return torch.einsum("bse,bseo->bso", self.gate(x).softmax(-1), y)


class Recurrent(nn.Module):
    """LSTM and GRU, one after the other."""

    def __init__(self):
        super().__init__()
        self.first = nn.LSTM(16, 8, batch_first=True, bidirectional=True)
        self.second = nn.GRU(16, 12, batch_first=True)
        self.head = nn.Linear(12, 3)

    def forward(self, x):
        return self.head(self.second(self.first(x)[0])[0][:, -1])


def image(*size):
    return torch.zeros(1, 3, *size)


#: By name: module, inputs, MACs where torch does not count them.
ZOO = {
    "residual": (Residual, image(32, 32), None),
    "separable": (Separable, image(16, 20), None),
    "unet": (Unet, image(8, 8), None),
    "vision": (Vision, image(16, 16), None),
    "language": (Language, torch.zeros(2, 7, dtype=torch.int64), None),
    "mixture": (Mixture, torch.zeros(2, 5, 16), None),
    "recurrent": (
        Recurrent,
        torch.zeros(2, 6, 16),
        2 * 6 * (2 * 32 * (16 + 8) + 36 * (16 + 12)) + 2 * 12 * 3,
    ),
    "space": (
        lambda: nn.Sequential(nn.Conv3d(1, 4, 3, (1, 2, 2)), nn.Conv3d(4, 4, (3, 1, 1))),
        torch.zeros(1, 1, 6, 9, 9),
        None,
    ),
    "sound": (
        lambda: nn.Sequential(nn.Conv1d(1, 8, 5, 2), nn.GELU(), nn.Conv1d(8, 8, 3, groups=8)),
        torch.zeros(1, 1, 40),
        None,
    ),
    "attention": (
        lambda: nn.TransformerDecoderLayer(16, 2, 32, batch_first=True),
        (torch.zeros(1, 4, 16), torch.zeros(1, 6, 16)),
        None,
    ),
}


def counted(module, inputs):
    """Return the MACs that torch counts."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        # fused attention is not counted
        with (
            torch.no_grad(),
            sdpa_kernel(SDPBackend.MATH),
            FlopCounterMode(display=False) as counter,
        ):
            module(*inputs)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return counter.get_total_flops() // 2


@pytest.fixture
def made(request):
    torch.manual_seed(0)
    factory, inputs, macs = ZOO[request.param]
    module = factory().eval()
    inputs = inputs if isinstance(inputs, tuple) else (inputs,)
    return module, inputs, macs or counted(module, inputs)


#: Which exporter: of some modules, both are tried; one gives up on the decoder.
OLD = [(name, False) for name in ZOO if name != "attention"]
NEW = [(name, True) for name in ("residual", "vision", "language", "recurrent", "attention")]


@pytest.mark.parametrize(("made", "dynamo"), [*OLD, *NEW], indirect=["made"])
def test_exported_modules_have_all_their_macs(made, dynamo, tmp_path):
    if dynamo:
        pytest.importorskip("onnxscript")
    module, inputs, macs = made
    path = tmp_path / "net.onnx"
    version = {} if dynamo else {"opset_version": 17}
    torch.onnx.export(module, inputs, path, dynamo=dynamo, **version)
    found = from_onnx(path, "net")
    assert not found.skipped
    assert found.workload.macs == macs
    names = {name for name, _ in module.named_modules() if name}
    named = [layer.name for layer in found.workload if _owner(layer.name) in names]
    assert named or not names


def _owner(layer):
    """Return the module that a layer belongs to: others of it are numbered, or are its parts.

    A name of a layer begins with no digit, as those of torch's containers do.
    """
    layer = re.sub(r"^_(?=\d)", "", layer)
    return re.sub(r"_\d+$|\.(scores|values|input|state|reverse.*)(_\d+)?$", "", layer)


@pytest.mark.parametrize("made", ZOO, indirect=True)
def test_modules_have_all_their_macs_without_a_file(made):
    module, inputs, macs = made
    found = from_torch(module, inputs, "net")
    assert not found.skipped
    assert found.workload.macs == macs


def test_a_length_that_is_left_open_is_asked_for(tmp_path):
    module = Language().eval()
    path = tmp_path / "net.onnx"
    torch.onnx.export(
        module,
        (torch.zeros(1, 5, dtype=torch.int64),),
        path,
        dynamo=False,
        opset_version=17,
        input_names=["x"],
        dynamic_axes={"x": {0: "batch", 1: "steps"}},
    )
    for batch, steps in ((1, 5), (2, 9)):
        found = from_onnx(path, "net", {"batch": batch, "steps": steps})
        assert not found.skipped
        assert found.workload.macs == counted(
            module, (torch.zeros(batch, steps, dtype=torch.int64),)
        )


#: How far ONNX Runtime rewrites a graph: with fused operators, then with its own layouts.
LEVELS = ("ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL")


def exported(name, path):
    """Export a module with the older exporter; return the MACs."""
    factory, inputs, macs = ZOO[name]
    module, inputs = factory().eval(), (inputs,)
    torch.onnx.export(module, inputs, path, dynamo=False, opset_version=17)
    return macs or counted(module, inputs)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", ["residual", "vision", "recurrent"])
def test_what_the_runtime_makes_of_a_model_has_all_macs(name, level, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    macs = exported(name, tmp_path / "net.onnx")
    options = runtime.SessionOptions()
    options.graph_optimization_level = getattr(runtime.GraphOptimizationLevel, level)
    options.optimized_model_filepath = str(tmp_path / "fast.onnx")
    options.log_severity_level = 3
    runtime.InferenceSession(tmp_path / "net.onnx", options, providers=["CPUExecutionProvider"])
    found = from_onnx(tmp_path / "fast.onnx", "net")
    assert not found.skipped
    if any("blocks" in note for note in found.notes):  # they depend on the machine
        assert macs <= found.workload.macs <= 8 * macs
    else:
        assert found.workload.macs == macs


@pytest.mark.parametrize("name", ["separable", "vision", "recurrent"])
def test_what_the_runtime_quantizes_has_all_macs_and_its_bits(name, tmp_path):
    quantization = pytest.importorskip("onnxruntime.quantization")
    macs = exported(name, tmp_path / "net.onnx")
    quantization.quantize_dynamic(tmp_path / "net.onnx", tmp_path / "small.onnx")
    found = from_onnx(tmp_path / "small.onnx", "net")
    assert not found.skipped
    assert found.workload.macs == macs
    bits = [dict(layer.precision).get("Weights") for layer in found.workload]
    assert 8 in bits
