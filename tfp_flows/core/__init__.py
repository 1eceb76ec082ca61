"""What all other rooms stand on: protocol, checks, compiled calls and saving.

Read `flow_bijector`, the protocol, first, with `inputs`, `event_shapes` and `compiled`;
then `composite` and `context_standardizer`. `arguments`, `rows` and `statistics` check and
measure, `serialization`, `saved_names` and `array_files` save. `conditioners` is what
bijectors need of networks. `stock_call_memory` and `recompute` save work; `check` and
`describe` print.
"""
