"""Which of ONNX's operators, and of its runtime's, multiply and accumulate, and what takes them."""

from __future__ import annotations

import re
from collections.abc import Callable

from dse.importers import onnx_operators as operators
from dse.importers import onnx_sequence as sequence
from dse.importers.found import Finder
from dse.importers.onnx_graph import Graph, GraphNode

Handler = Callable[[Graph, Finder, GraphNode], list[int] | None]

#: The domains of ONNX's own operators, and those of its runtime.
_OWN_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
_RUNTIME_DOMAINS = ("com.microsoft", "com.microsoft.nchwc")

_OWN: dict[str, Handler] = {
    "Attention": sequence.attention,
    "Conv": operators.convolution,
    "ConvInteger": operators.convolution,
    "ConvTranspose": operators.transposed,
    "DeformConv": operators.deformable,
    "Einsum": operators.einsum,
    "GRU": sequence.recurrent,
    "Gemm": operators.gemm,
    "LSTM": sequence.recurrent,
    "MatMul": operators.gemm,
    "MatMulInteger": operators.gemm,
    "QLinearConv": operators.quantized_convolution,
    "QLinearMatMul": operators.quantized_matmul,
    "RNN": sequence.recurrent,
}
_RUNTIME: dict[str, Handler] = {
    **_OWN,
    "Attention": sequence.projected_attention,
    "ConvTransposeWithDynamicPads": operators.transposed,
    "DynamicQuantizeLSTM": sequence.recurrent,
    "DynamicQuantizeMatMul": operators.gemm,
    "FusedConv": operators.convolution,
    "FusedGemm": operators.gemm,
    "FusedMatMul": operators.gemm,
    "FusedMatMulActivation": operators.gemm,
    "GemmFastGelu": operators.gemm,
    "GroupQueryAttention": sequence.grouped_attention,
    "MatMulBnb4": operators.block_quantized,
    "MatMulInteger16": operators.gemm,
    "MatMulIntegerToFloat": operators.gemm,
    "MatMulNBits": operators.block_quantized,
    "MultiHeadAttention": sequence.multi_head_attention,
    "NhwcConv": operators.convolution_of_channels_last,
    "NhwcFusedConv": operators.convolution_of_channels_last,
    "QAttention": sequence.quantized_attention,
    "QGemm": operators.quantized_gemm,
    "TransposeMatMul": operators.gemm,
}
_LAST: dict[str, Handler] = {
    "Conv": operators.convolution_of_channels_last,
    "FusedConv": operators.convolution_of_channels_last,
    "QLinearConv": operators.quantized_convolution,
}

#: Names of operators that multiply and accumulate, as far as names tell; and of ones that do
#: without such a name.
_PRODUCT = re.compile(r"Conv|MatMul|Gemm|Attention|LSTM|GRU|RNN|Einsum|MoE|Linear(Class|Regr)|SVM")
_OTHER_PRODUCTS = frozenset(["DFT", "STFT"])
#: Operators of the runtime that multiply and accumulate nothing, and whose result has the shape of
#: their first operand.
_SAME_SHAPE = frozenset(
    [
        *("BiasAdd", "BiasDropout", "BiasGelu", "BiasSoftmax", "FastGelu", "Gelu"),
        *("DequantizeLinear", "QuantizeLinear", "QuickGelu", "QLinearAdd", "QLinearMul"),
        *("QLinearLeakyRelu", "QLinearSigmoid", "QLinearSoftmax", "Inverse", "Trilu"),
        *("QLinearGelu", "LayerNormalization", "SimplifiedLayerNormalization"),
        *("SkipLayerNormalization", "SkipSimplifiedLayerNormalization", "GroupNorm"),
        *("SkipGroupNorm", "RotaryEmbedding", "MemcpyFromHost", "MemcpyToHost", "ReorderInput"),
    ]
)
#: Others that multiply and accumulate nothing.
_OTHER_SHAPE = frozenset(
    [
        *("QLinearAveragePool", "QLinearConcat", "QLinearGlobalAveragePool", "QLinearReduceMean"),
        *("QLinearWhere", "NhwcMaxPool", "NhwcFusedPool", "EmbedLayerNormalization", "GatherND"),
        *("Pad", "Unique", "BiasSplitGelu", "ReorderOutput", "UnfoldTensor", "ExpandDims"),
        *("IsAllFinite", "Range", "GatherBlockQuantized", "DynamicQuantizeLinear"),
    ]
)
_POOLING = re.compile(r"Pool|Concat$|Upsample|Resize|Transpose|Cast|Relu|Clip")


def handler_of(node: GraphNode) -> Handler | None:
    """Return what takes a node; None where nothing does."""
    domain = node.proto.domain
    if domain in _OWN_DOMAINS:
        return _OWN.get(node.kind)
    if domain in _RUNTIME_DOMAINS:
        return _RUNTIME.get(node.kind)
    return _LAST.get(node.kind) if domain == operators.CHANNELS_LAST else None


def free_shape(graph: Graph, node: GraphNode) -> list[int] | None:
    """Return the shape of what an operator of the runtime makes that has no MACs; None: not known.

    Raises:
        SpecError: the shape of its first operand is not known.
    """
    if node.proto.domain in _OWN_DOMAINS:
        return None
    if node.kind in _SAME_SHAPE:
        return graph.shape(node.input(0))
    if node.kind == "ReorderOutput":
        # its operand has channels in blocks, filled up
        batch, _, *pixels = graph.shape(node.input(0))
        channels = node.integer("channels", 0)
        last = node.integer("channels_last", 0)
        return [batch, *pixels, channels] if last else [batch, channels, *pixels]
    return operators.pooled(graph, node) if node.kind.endswith("Pool") else None


def is_free(node: GraphNode) -> bool:
    """Whether an operator is known to multiply and accumulate nothing."""
    if node.proto.domain in _OWN_DOMAINS:
        return not _PRODUCT.search(node.kind) and node.kind not in _OTHER_PRODUCTS
    if node.proto.domain in (*_RUNTIME_DOMAINS, operators.CHANNELS_LAST):
        known = node.kind in _SAME_SHAPE or node.kind in _OTHER_SHAPE
        return known or bool(_POOLING.search(node.kind) and not _PRODUCT.search(node.kind))
    return False


def has_products(graph: object) -> bool:
    """Whether a graph within a node's attributes has operators that are not free."""
    nodes = [GraphNode(proto, "") for proto in getattr(graph, "node", ())]
    return any(
        not is_free(node) or any(has_products(a.g) for a in node.proto.attribute if a.HasField("g"))
        for node in nodes
    )
