"""A sweep of short trials, beside the same trials as a shell loop of plain Keras scripts.

    python -m benchmarks.sweep [--trials 24] [--epochs 20]

The trials are binary MLPs on scikit-learn's digits, each with its own seed.
Each is trained, converted by Larq Compute Engine, and evaluated by its interpreter on the test set.
The loop starts one script a trial, as many at once as there are cores.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import parse_options
from benchmarks.train_mlp import machine

SWEEP = """\
name: short
dataset: digits
model: {{name: mlp, layers: 3, units: 256}}
precision: [binary]
seeds: {seeds}
train: {{epochs: {epochs}, learning_rate: 0.003}}
resources: {{cpu: 1}}
"""
SCRIPT = """\
import os, sys
os.environ["TF_USE_LEGACY_KERAS"] = "1"
import larq, larq_compute_engine, numpy as np, tensorflow as tf
from larq_compute_engine.tflite.python.interpreter import Interpreter
from sklearn.datasets import load_digits

seed, epochs = int(sys.argv[1]), int(sys.argv[2])
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.keras.utils.set_random_seed(seed)
digits = load_digits()
images, labels = digits.images[..., None].astype("float32") / 8 - 1, digits.target
binary = dict(kernel_quantizer="ste_sign", kernel_constraint="weight_clip", use_bias=False)
model = tf.keras.Sequential([tf.keras.layers.Reshape((1, 1, 64), input_shape=(8, 8, 1))])
for index, units in enumerate((256, 256, 256, 10)):
    quantizer = "ste_sign" if index else None
    model.add(larq.layers.QuantConv2D(units, 1, input_quantizer=quantizer, **binary))
    model.add(tf.keras.layers.BatchNormalization(momentum=0.9))
model.add(tf.keras.layers.Reshape((10,)))
model.add(tf.keras.layers.Softmax())
adam = tf.keras.optimizers.Adam(0.003)
model.compile(adam, "sparse_categorical_crossentropy", metrics=["accuracy"])
validation = (images[1293:1437], labels[1293:1437])
model.fit(images[:1293], labels[:1293], validation_data=validation, batch_size=100,
          epochs=epochs, verbose=0)
scores = Interpreter(larq_compute_engine.convert_keras_model(model)).predict(images[1437:])
print(seed, np.mean(np.argmax(scores, axis=1) == labels[1437:]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=20)
    options = parse_options(parser, trials=1, epochs=1)
    print(f"{options.trials} trials of {options.epochs} epochs, {machine()}")
    with tempfile.TemporaryDirectory() as folder:
        sweep_s = run_sweep(Path(folder), options)
        loop_s = run_loop(Path(folder), options)
    print(f"the loop takes {loop_s / sweep_s:.1f} times as long")


def run_sweep(folder: Path, options: argparse.Namespace) -> float:
    file = folder / "short.yaml"
    file.write_text(SWEEP.format(seeds=list(range(options.trials)), epochs=options.epochs))
    environment = {**os.environ, "HARNESS_HOME": str(folder / "workspace")}
    command = [sys.executable, "-m", "harness"]
    started = time.perf_counter()
    completed = subprocess.run(
        [*command, "submit", "sweep", file],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - started
    print(
        f"harness submit sweep: {seconds:.1f} s with Ray's start-up; "
        f"{options.trials / seconds:.2f} trials a second"
    )
    print(f"  {completed.stdout.splitlines()[-1]}")
    subprocess.run([*command, "query", "time_spent"], env=environment, check=True)
    return seconds


def run_loop(folder: Path, options: argparse.Namespace) -> float:
    script = folder / "plain.py"
    script.write_text(SCRIPT)
    started = time.perf_counter()
    concurrency = f"-P{os.cpu_count()}"
    seeds = "\n".join(str(seed) for seed in range(options.trials))
    subprocess.run(
        ["xargs", concurrency, "-I{}", sys.executable, script, "{}", str(options.epochs)],
        input=seeds,
        text=True,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    seconds = time.perf_counter() - started
    print(f"loop of Keras scripts: {seconds:.1f} s; {options.trials / seconds:.2f} trials a second")
    return seconds


if __name__ == "__main__":
    main()
