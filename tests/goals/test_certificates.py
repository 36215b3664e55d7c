"""What proofs of several problems prove together."""

from dse.goals.certificate import Certificate


def proof(value, bound, nodes=1, complete=True, assumed="some"):
    return Certificate(value, bound, assumed, nodes, complete)


def test_one_proof_is_itself():
    one = proof(2.0, 1.0)
    assert Certificate.of_all([one]) is one


def test_the_bound_is_the_least_and_the_value_the_last():
    joint = Certificate.of_all([proof(5.0, 5.0, 3), proof(4.0, 3.5, 4), proof(4.0, 4.0)])
    assert (joint.value, joint.bound, joint.nodes, joint.complete) == (4.0, 3.5, 8, True)
    assert Certificate.of_all([proof(5.0, 5.0), proof(4.0, 4.0)]).optimal


def test_no_bound_lies_above_the_value():
    assert Certificate.of_all([proof(5.0, 5.0), proof(4.0, 5.0)]).bound == 4.0


def test_one_that_was_stopped_leaves_all_incomplete():
    assert not Certificate.of_all([proof(5.0, 5.0), proof(5.0, 2.0, complete=False)]).complete


def test_problems_without_any_mapping_bound_nothing():
    empty = proof(float("inf"), None, assumed="no room")
    joint = Certificate.of_all([empty, proof(4.0, 4.0)])
    assert joint.optimal
    assert joint.assumed == "some"
    assert Certificate.of_all([empty, empty]).assumed == "no room"


def test_one_of_which_nothing_is_known_leaves_nothing_known():
    unknown = proof(5.0, None, complete=False, assumed="no bound: too large")
    joint = Certificate.of_all([proof(5.0, 5.0), unknown])
    assert joint.bound is None
    assert joint.assumed == "no bound: too large"
