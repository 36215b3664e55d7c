"""What an import finds: operations, merged into unique layers, and what was left out."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dse.domain.problem import SHAPES, Layer, Precision, Problem, Weights, Workload
from dse.errors import SpecError

#: Share of a model's MACs that may be missing without a word of consent.
_MISSING = 0.01


@dataclass(frozen=True)
class Skipped:
    """An operation that was not imported.

    Attributes:
        macs: its multiply-accumulates; None where they could not be counted.
    """

    name: str
    kind: str
    reason: str
    macs: int | None = None


@dataclass(frozen=True)
class Imported:
    """A workload read from a model.

    Attributes:
        workload: the unique layers.
        skipped: what is not in it, in the model's order.
        notes: where a layer stands for something else than its dimensions say.
    """

    workload: Workload
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def skipped_share(self) -> float:
        """Share of the model's countable MACs that was skipped, 0 to 1."""
        lost = sum(item.macs or 0 for item in self.skipped)
        return lost / (lost + self.workload.macs)

    @property
    def is_partial(self) -> bool:
        """Whether more than 1 % of the MACs is missing, or may be: some could not be counted."""
        return self.skipped_share > _MISSING or any(item.macs is None for item in self.skipped)

    @property
    def missing(self) -> str:
        """Say how much is missing."""
        unknown = sum(item.macs is None for item in self.skipped)
        parts = [f"{self.skipped_share:.2%} of the MACs that could be counted"]
        parts += [f"those of {unknown} nodes that could not"] if unknown else []
        return " and ".join(parts)

    def told(self) -> list[str]:
        """Return a line for each operation that is missing, with its share of all MACs."""
        whole = self.workload.macs + sum(item.macs or 0 for item in self.skipped)
        lines = []
        for item in self.skipped:
            share = "MACs unknown"
            if item.macs is not None:
                share = f"{item.macs / whole:.2%}, {item.macs / 1e6:.3f} M MACs"
            lines.append(f"{item.name} ({item.kind}): {share}; {item.reason}")
        return lines

    def yaml(self, description: str, source: str, sizes: Mapping[str, int] | None = None) -> str:
        """Return the workload as the text of a workload file.

        Args:
            description: of the workload.
            source: where it is from.
            sizes: of symbolic dimensions, which become parameters that can have no other value.
        """
        lines = [
            f"name: {self.workload.name}",
            f"description: {_quoted(description)}",
            f"source: {_quoted(source)}",
        ]
        lines += ["parameters:"] if sizes else []
        lines += [f"  {name}: {{default: {n}, max: {n}}}" for name, n in (sizes or {}).items()]
        lines.append("layers:")
        for layer in self.workload:
            problem = layer.problem
            parts = [f"name: {layer.name}", f"shape: {problem.shape.name}"]
            parts += [f"{d}: {n}" for d, n in problem.bounds.items() if n > 1]
            parts += [f"{c}: {n}" for c, n in problem.coefficients.items() if n > 1]
            parts += [f"count: {layer.count}"] if layer.count > 1 else []
            parts += [f"weights: {layer.weights}"] if layer.weights != "own" else []
            bits = ", ".join(f"{tensor}: {n}" for tensor, n in layer.precision)
            parts += [f"precision: {{{bits}}}"] if bits else []
            lines.append("  - {" + ", ".join(parts) + "}")
        return "\n".join(lines) + "\n"

    def write(self, path: Path, description: str, source: str) -> None:
        """Write the workload file."""
        path.write_text(self.yaml(description, source), encoding="utf-8")


def _quoted(text: str) -> str:
    clean = " ".join(text.split())
    return "'" + clean.replace("'", "''") + "'"


class Finder:
    """Collects operations; equal ones become one layer with a count."""

    def __init__(self) -> None:
        self.layers: list[Layer] = []
        self.skipped: list[Skipped] = []
        self.notes: list[str] = []
        self._names: Counter[str] = Counter()

    def skip(self, name: str, kind: str, reason: str, macs: int | None = None) -> None:
        """Record an operation that is not imported."""
        self.skipped.append(Skipped(name, kind, reason, macs))

    def note(self, text: str) -> None:
        """Record something that people should know, once."""
        if text not in self.notes:
            self.notes.append(text)

    def matmul(
        self,
        name: str,
        rows: int,
        inner: int,
        columns: int,
        batch: int,
        weights: Weights,
        precision: Precision = (),
        count: int = 1,
    ) -> None:
        """Add ``batch`` products of (rows x inner) and (inner x columns), ``count`` times."""
        bounds = {"P": rows, "C": inner, "K": columns}
        shape = "grouped-cnn-layer" if batch > 1 else "cnn-layer"
        if batch > 1:
            bounds["G"] = batch
        self._add(name, shape, bounds, {}, weights, precision, count)

    def convolution(
        self,
        name: str,
        batch: int,
        channels: tuple[int, int],
        groups: int,
        output: Sequence[int],
        kernel: Sequence[int],
        stride: Sequence[int],
        dilation: Sequence[int],
        weights: Weights = "own",
        precision: Precision = (),
    ) -> None:
        """Add a convolution; ``output``, ``kernel``, ... are (height, width), or (width,) alone.

        With a depth in front, each plane of the output is a convolution over as many planes of the
        input as the kernel has: the planes are counted with the images, the kernel's with the
        channels.

        Args:
            name: of the layer.
            batch: images.
            channels: of input and output, over all groups.
            groups: independent convolutions side by side.
            output: pixels.
            kernel: taps.
            stride: step of the window.
            dilation: step of the taps.
            weights: whose they are.
            precision: of the tensors.
        """
        if len(output) > 3:
            macs = batch * channels[0] * channels[1] // groups
            macs *= math.prod(output) * math.prod(kernel)
            self.skip(name, "Conv", f"{len(output)} spatial dimensions, expected 1 to 3", macs)
            return
        if len(output) == 3:
            batch, channels = batch * output[0], (channels[0] * kernel[0], channels[1])
            output, kernel = output[1:], kernel[1:]
            stride, dilation = stride[1:], dilation[1:]
            self.note(
                f"{name}: a convolution in space, taken plane by plane: planes of the input that "
                "several of the output use are counted for each"
            )
        (height, width), (kernel_h, kernel_w) = _two(output), _two(kernel)
        (stride_h, stride_w), (dilation_h, dilation_w) = _two(stride), _two(dilation)
        bounds = {"R": kernel_w, "S": kernel_h, "P": width, "Q": height, "N": batch}
        # a stride or dilation along a dimension of one step moves nothing
        coefficients = {
            "Wstride": stride_w if width > 1 else 1,
            "Hstride": stride_h if height > 1 else 1,
            "Wdilation": dilation_w if kernel_w > 1 else 1,
            "Hdilation": dilation_h if kernel_h > 1 else 1,
        }
        per_group = {"C": channels[0] // groups, "K": channels[1] // groups}
        shape = "cnn-layer" if groups == 1 else "grouped-cnn-layer"
        if groups > 1:
            bounds["G"] = groups
        if groups > 1 and per_group == {"C": 1, "K": 1}:
            shape = "depthwise-cnn-layer"
        else:
            bounds |= per_group
        self._add(name, shape, bounds, coefficients, weights, precision)

    def transposed_convolution(
        self,
        name: str,
        batch: int,
        channels: tuple[int, int],
        groups: int,
        inputs: Sequence[int],
        kernel: Sequence[int],
        stride: Sequence[int],
        dilation: Sequence[int],
        weights: Weights = "own",
        precision: Precision = (),
    ) -> None:
        """Add a transposed convolution as the plain one that does the same work.

        A stride of s makes s outputs per input and axis, each from 1/s of the taps: a convolution
        over the input's pixels with s x s times the output channels and 1/s of the taps per axis.
        Where s does not divide the taps they are rounded up, and a note says so.
        """
        if len(inputs) > 2 or any(d > 1 for d in dilation):
            macs = batch * channels[0] * channels[1] // groups
            macs *= math.prod(inputs) * math.prod(kernel)
            self.skip(name, "ConvTranspose", "3 spatial dimensions or dilation", macs)
            return
        steps, taps = _two(stride), _two(kernel)
        phases = steps[0] * steps[1]
        reduced = tuple(-(-k // s) for k, s in zip(taps, steps, strict=True))
        real = taps[0] * taps[1]
        if reduced[0] * reduced[1] * phases != real:
            more = reduced[0] * reduced[1] * phases / real - 1
            self.note(
                f"{name}: a transposed convolution whose stride does not divide its kernel; "
                f"counted with {more:.0%} more MACs"
            )
        wider = (channels[0], channels[1] * phases)
        ones = (1, 1)
        self.convolution(
            name, batch, wider, groups, inputs, reduced, ones, ones, weights, precision
        )

    def imported(self, name: str) -> Imported:
        """Return what was found.

        Raises:
            SpecError: nothing was.
        """
        if not self.layers:
            lost = ", ".join(f"{s.name} ({s.kind}: {s.reason})" for s in self.skipped[:5])
            raise SpecError(f"model '{name}': no layer could be imported; skipped: {lost or '-'}")
        return Imported(Workload(name, tuple(self.layers)), tuple(self.skipped), tuple(self.notes))

    def _add(
        self,
        name: str,
        shape_name: str,
        given: dict[str, int],
        coefficients: dict[str, int],
        weights: Weights,
        precision: Precision,
        count: int = 1,
    ) -> None:
        shape = SHAPES[shape_name]
        problem = Problem(shape, {**dict.fromkeys(shape.dimensions, 1), **given}, coefficients)
        for index, layer in enumerate(self.layers):
            if (layer.problem, layer.weights, layer.precision) == (problem, weights, precision):
                self.layers[index] = replace(layer, count=layer.count + count)
                return
        self.layers.append(Layer(self._unique(name), problem, count, weights, precision))

    def _unique(self, name: str) -> str:
        clean = re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip("_.-")[:60] or "layer"
        clean = clean if clean[0].isalpha() or clean[0] == "_" else f"_{clean}"
        self._names[clean] += 1
        return clean if self._names[clean] == 1 else f"{clean}_{self._names[clean]}"


def _two(sizes: Sequence[int]) -> tuple[int, int]:
    """Return (height, width); one dimension alone is the width."""
    return (1, int(sizes[0])) if len(sizes) == 1 else (int(sizes[0]), int(sizes[1]))
