"""Time and power follow from cycles, energy and the clock; every built-in template has one."""

import pytest

from dse.goals.design import DesignMetrics, LayerMetrics
from dse.goals.metric_names import of_design
from dse.goals.rates import Throughput
from dse.report.table import rates_rows
from dse.space import catalog
from dse.space.template import ArchTemplate


def metrics(energy_pj=5e9, clock_ns=2.0):
    layer = LayerMetrics("a", 2, 500_000.0, energy_pj / 2, 0.5)
    return DesignMetrics.of((layer,), 10**6, 2, 1.0, operations=2 * 10**6, clock_ns=clock_ns)


def test_rates_are_in_seconds_watts_and_joules():
    rates = metrics().rates
    assert rates is not None
    assert rates.clock_ns == 2.0
    assert rates.seconds == pytest.approx(2e-3)
    assert rates.inferences_per_s == pytest.approx(500)
    assert rates.energy_j == pytest.approx(5e-3)
    assert rates.power_w == pytest.approx(2.5)
    assert rates.tops == pytest.approx(1e-3)
    assert rates.tops_per_w == pytest.approx(4e-4)


def test_objectives_and_results_agree_on_them():
    found, known = metrics(), of_design(metrics())
    assert found.rates is not None
    told = found.rates.as_dict()
    for name in ("seconds", "inferences_per_s", "power_w", "tops", "tops_per_w"):
        assert known[name] == pytest.approx(told[name])
    assert known["delay_ns"] == pytest.approx(found.rates.seconds * 1e9)


def test_there_are_none_without_a_clock_or_a_design():
    assert metrics(clock_ns=None).rates is None
    assert DesignMetrics.infeasible("no").rates is None
    assert rates_rows(None) == []


def test_hardware_that_takes_no_energy_has_no_efficiency():
    rates = metrics(energy_pj=0.0).rates
    assert rates is not None
    assert rates.power_w == 0
    assert rates.tops_per_w is None
    assert "TOPS/W" not in dict(rates_rows(rates))["rate"]


def test_rates_are_told_in_units_that_fit():
    told = dict(rates_rows(Throughput.of(1000, 2e6, 4000, 1.25), what="run"))
    assert told["time"] == "1.25 us at 800 MHz, 8e+05 runs/s"
    assert told["power"] == "1.6 W, 2 uJ per run"
    assert told["rate"] == "0.0032 TOPS, 0.002 TOPS/W"


@pytest.mark.parametrize("name", catalog.names("arch"))
def test_every_builtin_template_has_a_clock(name):
    assert ArchTemplate.read(catalog.find("arch", name)).has_clock
