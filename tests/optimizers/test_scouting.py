"""Designs that a proof begins with: equal calls bring equal ones."""

from dse.components.chain import energy_chain
from dse.optimizers.naas import Naas
from dse.optimizers.scouting import Scout
from dse.space import catalog
from dse.space.search_space import SearchSpace


def space_of(template, network):
    found = catalog.template(template)
    return SearchSpace(found, catalog.workload(network), energy_chain("table"))


def test_where_connectivity_is_free_it_is_evolved_from_two_starts():
    space = space_of("naas_shidiannao", "alexnet")
    scout, again = Scout(space), Scout(space)
    first = scout(50)
    assert first == again(50)
    assert scout(50) == again(50)
    naas = [own for own, _, _ in scout._searches if isinstance(own, Naas)]
    assert [own.settings.start for own in naas] == [None, "center"]
    assert all(own.meter.spent > 0 for own in naas)


def test_where_connectivity_is_fixed_a_lock_step_search_is_enough():
    scout = Scout(space_of("gemmini", "alexnet"))
    assert not any(isinstance(own, Naas) for own, _, _ in scout._searches)
    assert scout(50) is not None
