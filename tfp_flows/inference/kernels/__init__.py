"""Markov chains through flows: kernels for `tfp.mcmc.sample_chain`.

Read `posterior_kernels` first, which samples a target through the flow of its posterior, by
`independent_proposals` and by `alternating` kernels.
"""
