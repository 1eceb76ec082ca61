"""Command lines that are wrong whatever the data are: a row for each rule."""

# Flags of `density_estimation`, and words of the line on standard error. "{x}" is the
# folder of the files.
BAD_USE = {
    "unknown flag": ("--bach_size=5", "Unknown command line flag 'bach_size'"),
    "no flag": ("two_moons", "Expected flags only; got ['two_moons']"),
    "unknown flow": ("--flow=glown", "`flow` to be one of ['auto',", "got 'glown'."),
    "missing flagfile": ("--flagfile={x}/none", "none"),
    "binary flagfile": ("--flagfile={x}/bytes.flags", "a --flagfile of text; got"),
    "flagfile of another command": (
        "--flagfile=experiments/recipes/mnist_vae_iaf.flags",
        "flags of `tfp-flows density` in --flagfile=",
        "got the unknown 'posterior'",
    ),
    "no positive integer": (
        "--num_steps=0",
        "an integer `num_steps` of at least 1; got '0'.",
    ),
    "no integer": ("--epochs=x", "an integer `epochs` of at least 1; got 'x'."),
    "no number": ("--dropout=1:=x", "a number `dropout` of at least 0.0; got '1:=x'."),
    "no boolean": ("--direct=maybe", "True or False as `direct`; got 'maybe'."),
    "batch_size huge": ("--batch_size=3000000000", "`batch_size` below 2**31"),
    "not finite": ("--learning_rate=nan", "`learning_rate` to be finite; got nan"),
    "learning_rate=0": ("--learning_rate=0", "`learning_rate` above 0; got 0.0"),
    "guidance without a class": (
        "--dataset=digits --flow=tarflow --guidance=1",
        "`guidance` with --flow=tarflow and --conditional only; got 1.0",
    ),
    "guidance beside a Gaussian": (
        "--dataset=digits --flow=tarflow --conditional --guidance=1 --defensive_share=0.1",
        "`guidance` without --defensive_share; got 1.0",
    ),
    "defensive_share=1": ("--defensive_share=1", "`defensive_share` below 1; got 1.0"),
    "defensive bits": (
        "--flow=binary_made --defensive_share=0.1",
        "no `defensive_share`, a Gaussian's, with binary_made",
    ),
    "progress=7": ("--progress=7", "`progress` of at least -1 and of at most 2; got '7'"),
    "hidden_units=a": ("--hidden_units=64,a", "`hidden_units` as in 100,100; got 64,a"),
    "replicas with XLA": ("--strategy=mirrored --jit_compile", "no `jit_compile` with a"),
    "glow of points": ("--flow=glow", "`dataset` to be one of ['cifar10',"),
    "widths of auto": (
        "--hidden_units=8",
        "no `hidden_units`, which auto lacks; got (8,). Name a flow that has it, such as "
        "--flow=nsf",
    ),
    "epochs of auto": ("--epochs=7 --flow=auto", "no `epochs`, which auto lacks; got 7."),
    "masks of maf": ("--flow=maf --num_masks=2", "no `num_masks`, which maf lacks; got 2"),
    "encoding": ("--dataset=csv --csv_path=x --encoding=utf-16", "`encoding`", "ASCII"),
    "no encoding": ("--dataset=csv --csv_path=x --encoding=undefined", "`encoding`"),
    "csv without path": ("--dataset=csv", "`csv_path` with --dataset=csv"),
    "path of another set": ("--csv_path=x", "`csv_path` with --dataset=csv only"),
    "init_from of the run itself": (
        "--run_dir={x}/a --init_from={x}/b/../a",
        "`init_from` to be another folder than `run_dir`",
    ),
    "classes of toy data": ("--conditional", "`conditional` with --dataset=digits or"),
    "run_dir empty": ("--run_dir=", "`run_dir`"),
    "run_dir in a file": ("--run_dir={x}/good.csv/run", "`run_dir` to be a folder"),
}

REPLICAS = "--strategy=mirrored --nojit_compile"
# Flags and words for rules that only other commands have.
BAD_USE_OF_OTHERS = {
    "vae": [
        ("--dataset=csv", "fashion_mnist"),
        ("--sticking_the_landing", "`sticking_the_landing` with --post"),
        (
            "--bound=importance_weighted --num_draws=2 --free_bits=1",
            "--bound=elbo only",
        ),
        ("--bound=importance_weighted", "`num_draws` above 1"),
        ("--posterior=real_nvp --latent_size=1", "`latent_size` of at least 2"),
        ("--channels=8,8", "`channels` with --encoder=conv or ladder only"),
        ("--patch_size=4", "`patch_size` with --encoder=conv or ladder only; got 4"),
        ("--num_blocks=0", "`num_blocks` with --encoder=conv or ladder only; got 0"),
        (
            "--encoder=ladder --dropout=0.1",
            "`dropout` with --encoder=dense or conv only; got 0.1",
        ),
        (
            "--encoder=ladder --posterior=full",
            "`posterior` of gaussian or iaf with --encoder=ladder; got 'full'",
        ),
        (
            "--encoder=ladder --num_blocks=0",
            "`num_blocks` of at least 1 with --encoder=ladder; got 0",
        ),
        ("--log_likelihood_rows=1", "of 0, for all, or at least 2"),
    ],
    "table": [
        ("", "`csv_path` to be given"),
        ("--csv_path=x --kinds=real", "name=kind"),
        ("--csv_path=x --context_columns=a,a", "`context_columns` to name different col"),
        ("--csv_path=x --kinds=a=real,a=drop", "one kind for each column"),
        ("--csv_path=x --test_share=.5 --validation_share=.5", "below 1 together"),
        (
            "--csv_path=x --report=synthetic --context_columns=a",
            "`context_columns` to be em",
        ),
        ("--csv_path=x --target=a", "`report` 'synthetic' with --target"),
        ("--csv_path=x --exclude_copies", "`report` 'synthetic' with --target and --excl"),
    ],
    "prediction_folds": [("--csv_path=x", "`target` to be given")],
    "folds": [
        ("", "`recipes` to be given"),
        ("{x}/same.flags {x}/same.flags", "same twice"),
        ("{x}/bad.flags", "flow"),
    ],
    "posterior": [
        ("--target=nothing", "eight_schools"),
        ("--activation=softmax", "`activation` to be an elementwise one"),
        ("--num_draws=1", "`num_draws` of at least 2; got '1'"),
        (f"{REPLICAS} --method=nuts", "`method` to be a surrogate posterior"),
        (f"{REPLICAS} --sample_size=5", "a multiple of the 2 replicas; got 5"),
        ("--target=posteriordb:nothing", "posteriordb:garch-garch11"),
    ],
    "sample": [("--model=x --out=a.parquet", "`out` to end as a table of text")],
    "compare": [
        ("", "`folders` to be given"),
        ("x --picture=a.xyz", "'png', 'ps'"),
    ],
    "out_of_distribution": [
        ("--others=mnist", "Expected `run_dir` to be given"),
        ("--run_dir=x", "Expected `others` to be given"),
        ("--run_dir=x --others=two_moons", "fashion_mnist"),
    ],
}

# TF_CONFIG with --strategy=multi_worker, and words of the line; "{w}" is TWO_WORKERS.
TWO_WORKERS = '{"worker": ["a:1", "b:2"]}'
BAD_TF_CONFIG = {
    "none": (None, "the environment variable TF_CONFIG", "got none"),
    "no JSON": ("worker", "got worker (Expecting value"),
    "no task": ('{"cluster": {w}}', "('task')"),
    "other job": (
        '{"cluster": {"ps": ["a:1"]}, "task": {"type": "ps", "index": 0}}',
        "Expected workers",
    ),
    "two chiefs": (
        '{"cluster": {"chief": ["a:1", "b:2"]}, "task": {"type": "chief", "index": 0}}',
        "at most one chief",
    ),
    "no port": (
        '{"cluster": {"worker": ["a", "b:2"]}, "task": {"type": "worker", "index": 0}}',
        "host:port",
    ),
    "same address": (
        '{"cluster": {"worker": ["a:1", "a:1"]}, "task": {"type": "worker", "index": 0}}',
        "distinct addresses",
    ),
    "index beyond": (
        '{"cluster": {w}, "task": {"type": "worker", "index": 2}}',
        "No task with index 2",
    ),
}
