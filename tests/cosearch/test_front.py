"""Fronts with proof: against brute force, their certificates, and attacks on them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from cosearch_cases import all_values, front, space_of

from dse.certify import known
from dse.cli import main
from dse.components import cacti
from dse.components.chain import energy_chain
from dse.cosearch.certificate import FrontCertificate
from dse.errors import NothingFeasible, SpecError
from dse.runner.run import resume, start
from dse.space import catalog
from dse.state.entries import CheckedEntries

pytestmark = pytest.mark.slow

METRIC = {"energy": "energy_pj", "delay": "cycles", "area": "area_um2"}
NETWORK = {
    "name": "net", "shape": "cnn-layer",
    "layers": [{"name": "a", "R": 3, "P": 8, "C": 6, "K": 32}, {"name": "b", "C": 24, "K": 8}],
}  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    monkeypatch.setenv(known.VARIABLE, str(tmp_path / "known.json"))
    content = yaml.safe_load(catalog.find("arch", "gemmini").read_text(encoding="utf-8"))
    content["variables"] = {
        "pe_dim": {"values": [2, 3, 4, 8]}, "scratchpad_kb": {"values": [1, 2, 3]},
        "accumulator_kb": {"values": [1, 2]},
    }  # fmt: skip
    content["mapspace"] = {"padding": "off"}
    (tmp_path / "arch.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    (tmp_path / "net.yaml").write_text(yaml.safe_dump(NETWORK), encoding="utf-8")
    return {
        "arch": str(tmp_path / "arch.yaml"), "workload": str(tmp_path / "net.yaml"),
        "folder": str(tmp_path / "run"), "samples": 40, "report": False,
    }  # fmt: skip


def every_design() -> np.ndarray:
    """Energy, cycles and area of all choices on all hardware that none beats on theirs."""
    space = space_of("gemmini conv")
    found = []
    for values in all_values(space):
        architecture = space.architecture(values)
        totals = [(0.0, 0.0)]
        for layer in space.workload:
            own = front(space, architecture, layer.problem)
            totals = [(e + layer.count * a, t + layer.count * b) for e, t in totals for a, b in own]
        found += [(e, t, architecture.area_um2) for e, t in totals]
    return np.array(found)


@pytest.mark.parametrize(
    "traded", [["energy", "delay", "area"], ["energy", "delay"], ["area", "delay"]]
)
def test_nothing_dominates_a_point_by_brute_force(traded, settings, tmp_path) -> None:
    net = {
        **NETWORK,
        "layers": [{**layer, "count": i + 1} for i, layer in enumerate(NETWORK["layers"])],
    }
    (tmp_path / "net.yaml").write_text(yaml.safe_dump(net), encoding="utf-8")
    result = start({**settings, "optimizer": {"name": "optimal", "objectives": traded}}).execute()
    assert result.certificate is not None
    points = result.certificate["points"]
    assert len(points) == len(result.front_members) == result.samples
    assert len(points) >= (2 if "area" in traded else 1)
    places = [list(METRIC).index(name) for name in traded]
    every = every_design()[:, places]
    for member in result.front_members:
        own = np.array([getattr(member.metrics, METRIC[name]) for name in traded])
        near = np.abs(every / own - 1.0).max(axis=1)
        assert near.min() < 1e-12
        no_worse = (every <= own * (1.0 + 1e-12)).all(axis=1)
        better = (every < own * (1.0 - 1e-9)).any(axis=1)
        assert not (no_worse & better).any()
    if "energy" in traded and "delay" in traded and "area" not in traded:
        # all of the lower hull
        for weight in np.geomspace(1e-3, 1e6, 60):
            least = (every[:, 0] + weight * every[:, 1]).min()
            ours = min(p["energy_pj"] + weight * p["cycles"] for p in points)
            extremes = weight < 0.2 or weight > 5e3
            assert extremes or ours == pytest.approx(least, rel=1e-12)


def test_a_front_is_certified_and_attacks_are_refuted(settings, capsys) -> None:
    objectives = ["energy", "delay", "area"]
    start({**settings, "optimizer": {"name": "optimal", "objectives": objectives}}).execute()
    folder = Path(str(settings["folder"]))
    assert main(["certify", str(folder), "--quiet"]) == 0
    said = capsys.readouterr().out
    assert "points: certified" in said
    assert not known.user_file().exists()
    assert main(["certify", str(folder), "--quiet", "--no-bound"]) == 3
    capsys.readouterr()
    path = folder / "result.json"
    text = path.read_text(encoding="utf-8")

    def attacked(change) -> str:
        content = json.loads(text)
        change(content, content["certificate"]["points"])
        path.write_text(json.dumps(content), encoding="utf-8")
        assert main(["certify", str(folder), "--quiet"]) == 1
        return capsys.readouterr().out

    def scale(key: str, factor: float):
        return lambda _, points: points[0].update({key: points[0][key] * factor})

    assert "no design of the front" in attacked(scale("area_um2", 0.9))
    assert "is not that of the value" in attacked(scale("bound", 0.9))
    assert "is not that of the value" in attacked(scale("bound", 1.1))
    assert "by the exact model" in attacked(scale("value", 0.99))
    assert "no design of the front" in attacked(scale("cycles", 0.5))
    assert "designs, but" in attacked(lambda _, points: points.pop())
    assert "designs, but" in attacked(lambda content, _: content["front"]["members"].pop())
    for told in ("energy_pj", "energy_pj + cycles - area_um2", "edp"):
        assert "weights above 0" in attacked(lambda _, p, told=told: p[0].update(minimised=told))
    assert "nothing is said" in attacked(lambda _, p: p[0].update(limit="cycles <= 1e30"))
    assert "of which a front is none" in attacked(
        lambda content, _: content["certificate"].update(objectives=["energy"])
    )

    def dominated(_, points) -> None:
        # a true design within a limit that shuts the better ones out is no point of another sum
        other = dict(points[0])
        points[0]["minimised"] = points[-1]["minimised"]
        points[0]["limit"] = points[-1]["limit"]
        points[0]["value"] = points[0]["bound"] = sum(
            float(part.split(" * ")[0]) * other[part.split(" * ")[1]]
            for part in points[-1]["minimised"].split(" + ")
        )

    assert "refuted" in attacked(dominated)
    path.write_text(text, encoding="utf-8")
    assert main(["certify", str(folder), "--quiet"]) == 0


def test_a_front_goes_on_where_it_was_killed(settings, tmp_path) -> None:
    class KilledError(Exception):
        pass

    seen = []

    def kill(_: object) -> None:
        seen.append(1)
        if len(seen) == 3:
            raise KilledError

    given = {**settings, "optimizer": {"name": "optimal", "objectives": list(METRIC)}}
    whole = start(given).execute()
    with pytest.raises(KilledError):
        start({**given, "folder": str(tmp_path / "half")}).execute(kill)
    again = resume(tmp_path / "half").execute()
    assert again.certificate is not None
    assert again.certificate["points"] == whole.certificate["points"]
    assert [m.value for m in again.front_members] == [m.value for m in whole.front_members]


def test_a_certificate_comes_back_from_its_state(settings) -> None:
    optimizer = {"name": "optimal", "objectives": ["energy", "area"]}
    result = start({**settings, "optimizer": optimizer, "samples": 3}).execute()
    assert result.certificate is not None
    told = {k: v for k, v in result.certificate.items() if k != "status"}
    again = FrontCertificate.of_state(CheckedEntries(told, "state"))
    assert again.as_dict() == result.certificate
    assert len(result.certificate["points"]) == 3
    del told["points"][0]["bound"]
    with pytest.raises(SpecError, match="bound"):
        FrontCertificate.of_state(CheckedEntries(told, "state"))


@pytest.mark.parametrize("objectives", [["energy"], ["energy", "energy"], ["edp", "area"]])
def test_what_cannot_be_traded_is_refused(objectives, settings) -> None:
    with pytest.raises(SpecError, match="two or three of energy, delay, area"):
        start({**settings, "optimizer": {"name": "optimal", "objectives": objectives}})


def test_a_space_without_tables_has_no_front(settings) -> None:
    optimizer = {"name": "optimal", "objectives": ["energy", "delay"], "mappings": 1}
    fixed = {"rows": 12, "columns": 14, "glb_kb": 108}
    given = {**settings, "arch": "eyeriss", "variables": fixed, "samples": 3}
    result = start({**given, "optimizer": optimizer}).execute()
    assert result.certificate is not None
    assert result.certificate["status"] == "unsolved"
    assert result.certificate["reason"]


def test_no_design_within_the_limits_is_infeasible(settings) -> None:
    optimizer = {"name": "optimal", "objectives": ["energy", "delay"]}
    with pytest.raises(NothingFeasible, match="proven that no design"):
        start({**settings, "constraints": "cycles <= 9", "optimizer": optimizer}).execute()


@pytest.mark.parametrize("name", ["pat", "dosa"])
def test_sizes_priced_together_are_priced_as_one_by_one(name: str) -> None:
    chain = energy_chain(name)
    space = space_of("gemmini wide")
    rng = np.random.default_rng(3)
    for values in all_values(space)[::5]:
        for level in space.template.tree(values).levels[:-1]:
            words = np.unique(np.concatenate([rng.integers(0, 5_000_000, 200), np.arange(80)]))
            prices, areas = chain.price_sizes(level, words, areas=True)
            for i, size in enumerate(words):
                try:
                    one = chain.price_storage(
                        type(level)(**{**vars(level), "size_words": int(size)}), None
                    )
                except SpecError:
                    assert np.isnan(areas[i])
                    assert np.isnan(prices[i]).all()
                    continue
                assert areas[i] == pytest.approx(one.area_um2, rel=1e-14)
                assert prices[i, 0] == one.energy.read_pj


def test_areas_of_many_depths_are_those_of_one() -> None:
    depths = np.array([1, 64, 100, 4096, 5000, 10**6, 10**8])
    for width in (8, 32, 40, 64, 512, 10**6):
        found = cacti.areas_um2(width, depths, 1, 1, 40)
        for depth, area in zip(depths, found, strict=True):
            try:
                expected = cacti.sram(width, int(depth)).area_um2
            except SpecError:
                assert np.isnan(area)
            else:
                assert area == pytest.approx(expected, rel=1e-13)
    assert np.isnan(cacti.areas_um2(32, depths, 9, 9, 40)).all()
