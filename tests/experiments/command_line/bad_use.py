"""Command lines of `density_estimation` that no data could make right."""

# Flags, and what the one line on standard error must say. "{x}" is the folder of the files.
BAD_USE = {
    "unknown flag": ("--bach_size=5", "Unknown command line flag 'bach_size'"),
    "no flag": ("two_moons", "Expected flags only; got ['two_moons']"),
    "unknown dataset": ("--dataset=moons", "two_moons"),
    "unknown flow": ("--flow=glown", "real_nvp"),
    "unknown base": ("--base=cauchy", "normal"),
    "unknown activation": ("--activation=reluu", "`activation`"),
    "activation that halves": ("--activation=glu", "`activation` to be an elementwise"),
    "activation that mixes": ("--flow=maf --activation=softmax", "`activation` to be an"),
    "activation with arguments": ("--activation=threshold", "`activation` to be an"),
    "missing flagfile": ("--flagfile={x}/none", "none"),
    "no value": ("--num_steps", "num_steps"),
    "text for a number": ("--epochs=many", "epochs"),
    "fraction for an integer": ("--batch_size=1.5", "batch_size"),
    "text for a boolean": ("--lu_mixing=perhaps", "lu_mixing"),
    "num_steps=0": ("--num_steps=0", "0 is not a positive integer"),
    "batch_size=-1": ("--batch_size=-1", "-1 is not a positive integer"),
    "batch_size huge": ("--batch_size=3000000000", "`batch_size` below 2**31"),
    "epochs=0": ("--epochs=0", "0 is not a positive integer"),
    "patience=-1": ("--patience=-1", "-1 is not a non-negative"),
    "steps_per_execution=0": (
        "--steps_per_execution=0",
        "0 is not a positive",
    ),
    "evaluation_batch_size=0": (
        "--evaluation_batch_size=0",
        "0 is not a positive",
    ),
    "num_samples=0": ("--num_samples=0", "0 is not integer >= 2"),
    "checkpoint_every=0": (
        "--checkpoint_every=0",
        "0 is not a positive integer",
    ),
    "learning_rate=nan": ("--learning_rate=nan", "`learning_rate` to be finite; got nan"),
    "learning_rate=inf": ("--learning_rate=inf", "`learning_rate` to be finite; got inf"),
    "learning_rate=0": ("--learning_rate=0", "`learning_rate` above 0; got 0.0"),
    "weight_decay=-1": (
        "--weight_decay=-1",
        "-1.0 is not a non-negative number",
    ),
    "warmup_steps=-1": ("--warmup_steps=-1", "-1 is not a non-negative integer"),
    "gradient_clip_norm=-1": (
        "--gradient_clip_norm=-1",
        "-1.0 is not a non-negative",
    ),
    "ema_momentum=1": ("--ema_momentum=1", "`ema_momentum` below 1; got 1.0"),
    "defensive_share=1": ("--defensive_share=1", "`defensive_share` below 1; got 1.0"),
    "defensive bits": (
        "--flow=binary_made --defensive_share=0.1",
        "no `defensive_share`, a Gaussian's, with binary_made",
    ),
    "max_minutes=-1": (
        "--max_minutes=-1",
        "-1.0 is not a non-negative number",
    ),
    "seed=-1": ("--seed=-1", "-1 is not a non-negative"),
    "data_seed=-1": ("--data_seed=-1", "-1 is not a non-negative"),
    "progress=7": ("--progress=7", "7 is not an integer in the range [-1, 2]"),
    "hidden_units=0": ("--hidden_units=0", "widths of at least 1; got (0,)"),
    "hidden_units empty": ("--hidden_units=", "`hidden_units`"),
    "hidden_units=a": ("--hidden_units=64,a", "`hidden_units` as in 100,100; got 64,a"),
    "unequal residual widths": ("--residual --hidden_units=8,16", "hidden_units"),
    "both norms": ("--batch_norm --act_norm", "`batch_norm` and `act_norm`; got both"),
    "recompute with made": ("--flow=made --recompute", "`recompute`, which made lacks"),
    "recompute with batch norm": (
        "--flow=maf --batch_norm --recompute",
        "without batch statistics",
    ),
    "mixing with nice": ("--flow=nice --lu_mixing", "`lu_mixing`, which nice lacks"),
    "glow of points": ("--flow=glow", "`dataset` to be one of ['cifar10',"),
    "glow of a table": ("--flow=glow --dataset=power", "--flow=glow; got 'power'."),
    "encoding": (
        "--dataset=csv --csv_path={x}/good.csv --encoding=utf-16",
        "`encoding`",
        "ASCII",
    ),
    "encoding of no csv": ("--encoding=latin-1", "`encoding` with --dataset=csv only"),
    "csv without path": ("--dataset=csv", "`csv_path` with --dataset=csv"),
    "npz without path": ("--dataset=npz", "`npz_path` with --dataset=npz"),
    "init_from of the run itself": (
        "--run_dir={x}/a --init_from={x}/b/../a",
        "`init_from` to be another folder than `run_dir`",
    ),
    "path of another set": (
        "--csv_path={x}/good.csv",
        "`csv_path` with --dataset=csv only",
    ),
    "key of another set": (
        "--dataset=csv --csv_path={x}/good.csv --npz_key=a",
        "`npz_key` with --dataset=npz only",
    ),
    "context of toy data": ("--context_columns=x", "`context_columns`"),
    "constants of toy data": ("--drop_constant_columns", "`drop_constant_columns`"),
    "classes of toy data": ("--conditional", "`conditional` with --dataset=digits or"),
    "bits of digits": ("--dataset=digits --num_bits=5", "`num_bits` with --dataset=mnist"),
    "num_bits=0": (
        "--dataset=mnist --num_bits=0",
        "0 is not an integer in",
    ),
    "num_bits=9": (
        "--dataset=mnist --num_bits=9",
        "9 is not an integer in",
    ),
    "flips of toy data": ("--horizontal_flips", "`horizontal_flips` with --dataset=digits"),
    "images without path": ("--dataset=images", "`images_path` with --dataset=images"),
    "images_path of another set": ("--images_path=x", "--dataset=images only"),
    "image_fit of another set": ("--dataset=mnist --image_fit=crop", "`image_fit` with"),
    "unknown image_fit": ("--dataset=images --images_path=x --image_fit=pad", "resize"),
    "image_size=-1": (
        "--dataset=images --images_path=x --image_size=-1",
        "-1 is not a non-negative",
    ),
    "context with an open quote": (
        '--dataset=csv --csv_path=x --context_columns="a',
        "context_columns",
    ),
    "share of toy data": ("--test_share=0.3", "`test_share`"),
    "test_share=0": (
        "--dataset=csv --csv_path=x --test_share=0",
        "`test_share` above 0",
    ),
    "validation_share=nan": ("--validation_share=nan", "`validation_share` to be finite"),
    "shares of all": (
        "--dataset=csv --csv_path=x --test_share=0.5 --validation_share=0.5",
        "below 1 together; got 1.0",
    ),
    "run_dir empty": ("--run_dir=", "`run_dir`"),
    "run_dir a file": ("--run_dir={x}/good.csv", "`run_dir` to be a folder"),
    "run_dir in a file": ("--run_dir={x}/good.csv/run", "`run_dir` to be a folder"),
}

# TF_CONFIG with --strategy=multi_worker, and what the line must say; "{w}" is TWO_WORKERS.
TWO_WORKERS = '{"worker": ["a:1", "b:2"]}'
BAD_TF_CONFIG = {
    "none": (None, "the environment variable TF_CONFIG", "got none"),
    "empty": ("", "got none"),
    "no JSON": ("worker", "Expected TF_CONFIG to be JSON; got 'worker'"),
    "a list": ("[1]", "with an object `cluster`", "got [1]"),
    "no cluster": ('{"task": {"type": "worker", "index": 0}}', "an object `cluster`"),
    "no task": ('{"cluster": {w}}', "an object `task`"),
    "no worker": ('{"cluster": {"worker": []}, "task": {"index": 0}}', "as `worker`"),
    "other job": ('{"cluster": {"ps": ["a:1"]}, "task": {"index": 0}}', "got ['ps']"),
    "two chiefs": (
        '{"cluster": {"chief": ["a:1", "b:2"]}, "task": {"type": "chief", "index": 0}}',
        "Expected one chief",
    ),
    "no port": ('{"cluster": {"worker": ["a", "b:2"]}, "task": {"index": 0}}', "host:port"),
    "same address": (
        '{"cluster": {"worker": ["a:1", "a:1"]}, "task": {"type": "worker", "index": 0}}',
        "distinct addresses",
    ),
    "index beyond": (
        '{"cluster": {w}, "task": {"type": "worker", "index": 2}}',
        "{'worker': 2}",
        '"index": 2',
    ),
    "index of text": (
        '{"cluster": {w}, "task": {"type": "worker", "index": "0"}}',
        '"index": "0"',
    ),
    "unknown type": (
        '{"cluster": {w}, "task": {"type": "chief", "index": 0}}',
        '"type": "chief"',
    ),
}
