"""Workloads from a ``torch.nn.Module``, through ``torch.export``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from dse.domain.problem import Weights
from dse.errors import SpecError, ToolError
from dse.importers.found import Finder, Imported


def from_torch(
    module: Any,  # noqa: ANN401 - torch is not a dependency
    inputs: tuple[Any, ...],
    name: str,
    keywords: Mapping[str, Any] | None = None,
) -> Imported:
    """Import the convolutions and matrix products of a module.

    The module is exported for these inputs (nothing is trained or saved) and decomposed into
    PyTorch's core operators. Products of activations, as in attention, count no weights.

    Args:
        module: a ``torch.nn.Module``.
        inputs: example arguments; their shapes are the workload's.
        name: of the workload.
        keywords: example keyword arguments.

    Raises:
        ToolError: torch is not installed, or cannot export the module.
        SpecError: no layer could be imported.
    """
    try:
        import torch  # noqa: PLC0415
    except ImportError as error:
        raise ToolError("importing a torch module needs torch: pip install torch") from error
    was_training = module.training
    module.eval()
    try:
        with torch.no_grad():
            program = torch.export.export(module, inputs, dict(keywords or {}), strict=False)
            program = program.run_decompositions()
    except Exception as error:  # torch raises errors of many kinds for what it cannot trace
        first = str(error).strip().partition("\n")[0]
        raise ToolError(f"model '{name}': torch.export failed: {first}") from error
    finally:
        module.train(was_training)
    return _ProgramWalk(program).imported(name)


class _ProgramWalk:
    """One walk over an exported program."""

    def __init__(self, program: Any) -> None:  # noqa: ANN401
        self._finder = Finder()
        self._nodes = program.graph.nodes
        signature = program.graph_signature
        self._parameters: dict[str, str] = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
        }
        self._used: set[str] = set()

    def imported(self, name: str) -> Imported:
        for node in self._nodes:
            if node.op != "call_function":
                continue
            kind = str(node.target).removeprefix("aten.").partition(".")[0]
            handle = _HANDLERS.get(kind)
            try:
                if handle is not None:
                    handle(self, node)
                elif _PRODUCTS.search(kind):
                    self._finder.skip(_layer_name(node), kind, "not known to the importer")
            except (
                SpecError,
                KeyError,
                IndexError,
                TypeError,
                ValueError,
                AttributeError,
            ) as error:
                self._finder.skip(_layer_name(node), kind, f"{type(error).__name__}: {error}")
        return self._finder.imported(name)

    def convolution(self, node: Any) -> None:  # noqa: ANN401
        x, weight, _, stride, _, dilation, transposed, _, groups = node.args[:9]
        into, taps, out = _shape(x), _shape(weight), _shape(node)
        name = _layer_name(node)
        kernel = taps[2:]
        if transposed:
            channels = (into[1], out[1])
            self._finder.transposed_convolution(
                name, into[0], channels, groups, into[2:], kernel, stride, dilation
            )
            return
        self._finder.convolution(
            name,
            into[0],
            (into[1], out[1]),
            groups,
            out[2:],
            kernel,
            _per_axis(stride, kernel),
            _per_axis(dilation, kernel),
            self._weights(weight),
        )

    def product(self, node: Any) -> None:  # noqa: ANN401
        """Take ``mm`` or ``bmm``; in ``addmm`` and ``baddbmm`` what is added comes first."""
        left, right = node.args[-2:] if len(node.args) <= 3 else node.args[1:3]
        a, b = _shape(left), _shape(right)
        weights = self._weights(right)
        if weights == "none" and self._weights(left) != "none":
            # the parameters stand on the left: the transposed product is the same work
            weights, a, b = "own", [*b[:-2], b[-1], b[-2]], [*a[:-2], a[-1], a[-2]]
        batch = math.prod(a[:-2])
        self._finder.matmul(_layer_name(node), a[-2], a[-1], b[-1], batch, weights)

    def attention(self, node: Any) -> None:  # noqa: ANN401
        """Take fused attention apart: scores, then their product with the values."""
        query, key, value = (_shape(node.args[k]) for k in range(3))
        name = _layer_name(node)
        # query heads that share a key head are rows of one product
        heads, shared = math.prod(key[:-2]), math.prod(query[:-2]) // math.prod(key[:-2])
        rows = query[-2] * shared
        self._finder.matmul(f"{name}.scores", rows, query[-1], key[-2], heads, "none")
        self._finder.matmul(f"{name}.values", rows, value[-2], value[-1], heads, "none")

    def _weights(self, node: Any) -> Weights:  # noqa: ANN401
        """Return whose the operand is, looking through reshapes."""
        while node.op == "call_function" and str(node.target).removeprefix("aten.").startswith(
            _RESHAPES
        ):
            node = node.args[0]
        parameter = self._parameters.get(node.name)
        if node.op != "placeholder" or parameter is None:
            return "none"
        if parameter in self._used:
            return "shared"
        self._used.add(parameter)
        return "own"


class _Products:
    """Names of operators that multiply and accumulate, and that have no handler."""

    _PARTS = ("conv", "mm", "matmul", "linear", "einsum", "lstm", "gru", "rnn", "attention")

    def search(self, kind: str) -> bool:
        return any(part in kind for part in self._PARTS)


_PRODUCTS = _Products()
_RESHAPES = (
    *("permute", "view", "_unsafe_view", "reshape", "t.", "transpose", "unsqueeze", "squeeze"),
    *("expand", "clone", "_to_copy", "slice", "select", "contiguous"),
)
_HANDLERS: dict[str, Callable[[_ProgramWalk, Any], None]] = {
    "convolution": _ProgramWalk.convolution,
    "mm": _ProgramWalk.product,
    "bmm": _ProgramWalk.product,
    "addmm": _ProgramWalk.product,
    "baddbmm": _ProgramWalk.product,
    "scaled_dot_product_attention": _ProgramWalk.attention,
    "_scaled_dot_product_flash_attention": _ProgramWalk.attention,
    "_scaled_dot_product_flash_attention_for_cpu": _ProgramWalk.attention,
    "_scaled_dot_product_efficient_attention": _ProgramWalk.attention,
}


def _shape(node: Any) -> list[int]:  # noqa: ANN401
    """Return the tensor's shape as integers; TypeError where it is not known."""
    return [int(n) for n in node.meta["val"].shape]


def _per_axis(values: Any, kernel: list[int]) -> list[int]:  # noqa: ANN401
    """Return one value per axis; one given value holds for all."""
    return list(values) * len(kernel) if len(values) == 1 else list(values)


def _layer_name(node: Any) -> str:  # noqa: ANN401
    """Return the path of the innermost module that the operation belongs to, or its own name."""
    stack = node.meta.get("nn_module_stack") or {}
    paths = [path for path, _ in stack.values() if path]
    return str(paths[-1]) if paths else str(node.name)
