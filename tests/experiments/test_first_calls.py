"""The benchmark of first calls, and what it is to keep small."""

from experiments.benchmarks import first_calls

MAF = "MAF, D=6, 5 x 64/64"


def test_a_masked_flow_is_sampled_in_a_graph_of_few_operations():
    seconds, sampled = first_calls.first_call(MAF, "sample", "graph")
    _, scored = first_calls.first_call(MAF, "log_prob", "graph")
    assert seconds > 0.0
    assert sampled < 4 * scored


def test_frames_are_counted_up_to_the_first_network():
    flow = "RealNVP, D=2, 8 x 64/64"
    in_coupling = first_calls.frames_before_network(flow, "inverse")
    assert 1 < in_coupling <= first_calls.frames_before_network(flow, "log_prob")
