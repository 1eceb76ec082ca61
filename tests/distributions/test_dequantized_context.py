import keras
import numpy as np

import tfp_flows as tff


def test_model_takes_the_context_of_a_conditional_flow():
    flow = tff.MAF(2, num_steps=1, context_size=1, seed=0)
    flow = tff.FlowDistribution(
        tff.standard_normal(2), tff.FlowChain([tff.Logit(0.05), flow])
    )
    dequantized = tff.Dequantized(flow, num_bins=4)
    assert dequantized.context_size == 1
    context = np.repeat([[0.0], [1.0]], 200, axis=0).astype(np.float32)
    rows = np.repeat([[0, 0], [3, 3]], 200, axis=0)
    model = tff.DensityEstimator(dequantized)
    model.compile(optimizer=keras.optimizers.Adam(5e-2))
    model.fit((rows, context), epochs=5, batch_size=100, verbose=0)
    right, wrong = (
        np.mean(dequantized.log_prob(rows, context=given, seed=0))
        for given in (context, 1 - context)
    )
    assert right > wrong + 1.0
