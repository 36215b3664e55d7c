"""The twin's gradients against torch's autograd, by a second, literal writing of the model."""

import numpy as np
import pytest
from relaxed_spaces import CASES, VERSIONS, between, draw, space_of

from dse.relaxed import Twin
from dse.relaxed import prices as pr
from dse.relaxed.prices import price_list

pytestmark = pytest.mark.slow

torch = pytest.importorskip("torch", reason="torch is not installed")


def number(x):
    return float(x.detach()) if isinstance(x, torch.Tensor) else x


def box(c, extent):
    side = 1 + (torch.tensor(c) * (extent - 1)).sum(dim=1)
    return side, side.prod()


def words_to_child(c, edge, full, loops, version):
    """Section 4 of the rules: loops are (row, factor, step), innermost first."""
    total, partial, first = full, None, None
    moved, moving = 0.0, None
    for k, (row, n, step) in enumerate(loops):
        outer = torch.ones(())
        for _, m, _ in loops[k + 1 :]:
            outer = outer * m
        if row is None:
            each = full if moving is not None else 0.0
            if moving is None and version != "4cf6d4c" and partial is None:
                partial, first = 0.0, 0.0
        elif moving is not None and row != moving:
            return total + sum_of_rest(loops[k:]) * full
        else:
            move = step - moved
            if partial is None:
                kept = torch.clamp(edge[row] - move, min=0.0)
                partial, first = full - full / edge[row] * kept, move
                each = partial
            elif version == "4cf6d4c" and number(move) == 0.0:
                each = 0.0
            else:
                each = partial if number(move) == number(first) else full
            moving, moved = row, moved + step
        total = total + (n - 1) * outer * each
    return total


def sum_of_rest(loops):
    product = torch.ones(())
    for _, n, _ in loops:
        product = product * n
    return product - 1


def transfers(c, row, spatial, inside):
    groups = torch.ones(())
    for q in range(len(c)):
        hit = [d for d in range(len(row)) if row[d] == q and number(spatial[d]) > 1]
        if len(hit) == 2:
            (n1, v1), (n2, v2) = ((spatial[d], c[q, d] * inside[d]) for d in hit)
            a, b = torch.clamp(v1 / v2, min=1.0), torch.clamp(v2 / v1, min=1.0)
            both = torch.clamp(n1 - b, min=0.0) * torch.clamp(n2 - a, min=0.0)
            groups = groups * (n1 * n2 - both)
        else:
            for d in hit:
                groups = groups * spatial[d]
    return groups


def literal(problem, x, temporal, spatial, price, version):
    """Energy and cycles of one point, as the rules say them, in torch."""
    levels, dims = temporal.shape
    extent = (temporal * spatial).cumprod(dim=0)
    inside = torch.cat([torch.ones(1, dims), extent[:-1]])
    spread = inside * spatial
    fan = spatial.prod(dim=1)
    used = [fan[s + 1 :].prod() for s in range(levels)]
    iterations = temporal.prod()
    energy = iterations * fan.prod() * price[levels, pr.MAC]
    load = torch.zeros(levels, 2)
    for t in range(len(problem.tensors)):
        c = problem.projection[t].astype(float)
        row = [int(np.argmax(c[:, d] > 0)) if (c[:, d] > 0).any() else None for d in range(dims)]
        top = max(s for s in range(levels) if x.keep[0, s, t])
        part = box(c, extent[-1])[1]
        parts = {levels - 1: part}
        for s in range(levels - 2, -1, -1):
            part = part * box(c, extent[s])[1] / box(c, spread[s + 1])[1]
            parts[s] = part
        words, content = {}, {}
        for s in range(top + 1):
            if s > 0:
                loops = [
                    (
                        row[d],
                        temporal[u, d],
                        None if row[d] is None else c[row[d], d] * spread[u, d],
                    )
                    for u in range(s, levels)
                    for d in x.order[0, u]
                    if number(temporal[u, d]) > 1
                ]
                edge, full = box(c, extent[s - 1])
                words[s] = words_to_child(c, edge, full, loops, version)
            source = iterations if s == 0 else words[s]
            if s > 0 and not x.keep[0, s - 1, t]:
                source = content[s - 1]
            content[s] = transfers(c, row, spatial[s], inside[s]) * source
        for s in range(top + 1):
            if not x.keep[0, s, t]:
                continue
            fills = words[s + 1] if s < top else torch.zeros(())
            reads, updates = content[s], torch.zeros(())
            if problem.read_write[t]:
                reads, updates = content[s] - parts[s], content[s]
                if s < top and version != "dosa":
                    fills = fills - parts[s]
            prices = [price[s, k] for k in (pr.READ, pr.FILL, pr.UPDATE)]
            each = reads * prices[0] + fills * prices[1] + updates * prices[2]
            energy = energy + torch.clamp(used[s], max=price[s, pr.CLUSTERS]) * each
            load[s, 0] = load[s, 0] + reads
            load[s, 1] = load[s, 1] + fills + updates
    cycles = iterations
    for s in range(levels):
        cycles = torch.maximum(cycles, load[s, 0] / price[s, pr.READ_BANDWIDTH])
        cycles = torch.maximum(cycles, load[s, 1] / price[s, pr.WRITE_BANDWIDTH])
        cycles = torch.maximum(cycles, load[s].sum() / price[s, pr.SHARED_BANDWIDTH])
    if version == "4cf6d4c":
        energy = energy + sum(price[s, pr.LEAK] * cycles * used[s] for s in range(levels))
    return energy, cycles


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("arch", "net"), CASES)
def test_twin_is_the_literal_model_and_its_gradient_autograd(arch, net, version):
    torch.set_default_dtype(torch.float64)
    space, rng = space_of(arch, net), np.random.default_rng(11)
    problems = [x.problem for x in space.workload]
    twin = Twin(problems, len(space.template.level_names), version, None)
    for architecture, i, found in draw(space, rng, 6):
        single = Twin([problems[i]], twin.levels, version, None)
        x = between(single.points([found[0]], [0]), rng)
        prices = price_list([architecture])
        cost = single.cost(x, prices)
        logs = [torch.tensor(np.log(a[0]), requires_grad=True) for a in (x.temporal, x.spatial)]
        values = literal(problems[i], x, logs[0].exp(), logs[1].exp(), prices[0], version)
        for name, value, whole in zip(
            ("energy", "cycles"), values, (cost.energy_pj, cost.cycles), strict=True
        ):
            assert whole[0] == pytest.approx(number(value), rel=1e-10)
            slopes = torch.autograd.grad(value, logs, retain_graph=True, allow_unused=True)
            for kind, slope in zip(("temporal", "spatial"), slopes, strict=True):
                moves = getattr(x, kind)[0] > 1
                told = getattr(cost, f"{name}_{kind}")[0]
                wanted = np.zeros(told.shape) if slope is None else slope.numpy()
                tolerance = 1e-9 * abs(number(value))
                assert np.abs(told - wanted)[moves].max(initial=0.0) <= tolerance
