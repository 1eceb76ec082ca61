"""Workers of one cluster, all of them processes on this machine."""

import dataclasses
import json
import os
import socket

import fresh_process
from tiny_runs import quick_runs

from experiments.density_estimation import experiment as density_estimation
from experiments.density_estimation.settings import Settings

# 10,000 rows, so that the last batch has 1,665.
UNEVEN = Settings(
    flow="real_nvp",
    num_steps=1,
    hidden_units=(8,),
    batch_norm=True,
    ema_momentum=0.9,
    gradient_clip_norm=0.1,
    epochs=3,
    batch_size=1667,
    evaluation_batch_size=667,
    num_samples=100,
    progress=0,
)


def start(target, *arguments_of_each, outputs=(None, None)):
    """Starts a worker for each of `arguments_of_each`, the chief first.

    Args:
      target: what each worker calls; a function of a module.
      *arguments_of_each: tuples of its arguments.
      outputs: the file of each, to which it writes, or None.
    """
    addresses = [f"127.0.0.1:{port}" for port in _free_ports(len(arguments_of_each))]
    processes = []
    for index, arguments in enumerate(arguments_of_each):
        task = {"type": "worker", "index": index}
        tf_config = json.dumps({"cluster": {"worker": addresses}, "task": task})
        processes.append(
            fresh_process.start(_call, tf_config, target, arguments, output=outputs[index])
        )
    return processes


def start_run(settings, experiment=density_estimation):
    """Starts a run of an experiment in two workers.

    Each prints into `run_dir` + "_of_0.log" or "_of_1.log".

    The chief writes to `run_dir`, the other, if it wrote, would to `run_dir` + "_of_1".
    """
    run_dir = settings.run_dir
    chief, other = (
        dataclasses.replace(settings, strategy="multi_worker", run_dir=folder).flags()
        for folder in (run_dir, f"{run_dir}_of_1")
    )
    return start(
        _run,
        (experiment.cli, chief),
        (experiment.cli, other),
        outputs=[f"{run_dir}_of_{index}.log" for index in range(2)],
    )


def end_well(processes):
    """Waits for the processes and checks that each has ended with status 0."""
    for process in processes:
        process.join(300)
    assert [process.exitcode for process in processes] == [0] * len(processes)


def _call(tf_config, target, arguments):
    os.environ["TF_CONFIG"] = tf_config
    return target(*arguments)


def _run(cli, flags):
    with quick_runs():
        return cli(["program", *flags])


def _free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
