#!/usr/bin/env python3
"""Benchmark a .tflite model with a Python interpreter, printing what lce_benchmark_model prints.

This program is pushed to devices. There it needs only Python (3.7 or later), numpy and an
interpreter: the first of INTERPRETERS that loads. It accepts the tool's main flags and prints the
tool's lines, so one parser reads both.

Each run is timed around one whole call, including the copies of input and output. That is some
microseconds more than the C++ tool counts. The initialization excludes loading the interpreter's
code, which the C++ tool has no need for.

The file of an input may hold several, one after the other, as many as those of the other inputs.
The first is benchmarked, and the outputs of all go to the output file. The C++ tool supports one.
"""

import argparse
import importlib.machinery
import importlib.util
import math
import os
import re
import resource
import struct
import sys
import time

NO_INTERPRETER = 3
# The integers that the tool draws. https://github.com/tensorflow/tensorflow, lite/tools/utils.cc
INTEGER_RANGES = {"int8": (-127, 127), "uint8": (0, 254), "bool": (0, 1)}
INDEX_RANGE = (0, 99)  # of all other types
MIB = 1024.0 * 1024.0  # the tool's MB where it reports memory
BINARY_MODEL_HINT = (
    "binary models need larq-compute-engine (x86-64 Linux only) or the lce_benchmark_model program"
)
ECHOES = (
    ("num_runs", "Min num runs"),
    ("min_secs", "Min runs duration (seconds)"),
    ("max_secs", "Max runs duration (seconds)"),
    ("num_threads", "Num threads"),
    ("warmup_runs", "Min warmup runs"),
    ("warmup_min_secs", "Min warmup runs duration (seconds)"),
    ("report_peak_memory_footprint", "Report the peak memory footprint"),
    ("graph", "Graph"),
    ("input_layer", "Input layers"),
    ("input_layer_shape", "Input shapes"),
    ("input_layer_value_range", "Input value ranges"),
    ("input_layer_value_files", "Input value files"),
    ("output_filepath", "File path to export outputs layer to"),
    ("use_xnnpack", "Use xnnpack"),
    ("use_reference_bconv", "Use reference bconv"),
    ("use_indirect_bgemm", "Use indirect bgemm"),
)


def main():
    options, unknown_flags = make_parser().parse_known_args()
    if options.describe:
        return describe()
    print_info("STARTING!")
    if unknown_flags:
        print("WARN: Unconsumed cmdline flags: " + " ".join(unknown_flags), flush=True)
    passed = {argument.partition("=")[0] for argument in sys.argv[1:]}
    for name, label in ECHOES:
        if "--" + name in passed:
            print_info("%s: [%s]" % (label, format_option(getattr(options, name))))
    return benchmark(options)


def format_option(value):
    if isinstance(value, float):
        return "%g" % value
    return int(value) if isinstance(value, bool) else value


def make_parser():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--graph", default="")
    parser.add_argument("--input_layer", default="", help="names for all inputs, as one,two")
    parser.add_argument(
        "--input_layer_shape", default="", help="their shapes, as 1,28,28,1:1,10; replaces 1s"
    )
    parser.add_argument(
        "--input_layer_value_range", default="", help="ranges of values, as one,0,99:two,0,1"
    )
    parser.add_argument(
        "--input_layer_value_files", default="", help="NAME:FILE of raw values, colons doubled"
    )
    parser.add_argument(
        "--output_filepath", default="", help="a file for the raw values of the outputs"
    )
    parser.add_argument("--num_threads", type=int, default=1)
    parser.add_argument("--num_runs", type=int, default=50)
    parser.add_argument("--min_secs", type=float, default=1.0)
    parser.add_argument("--max_secs", type=float, default=150.0)
    parser.add_argument("--warmup_runs", type=int, default=1)
    parser.add_argument("--warmup_min_secs", type=float, default=0.5)
    parser.add_argument("--use_xnnpack", type=parse_switch, default=True)
    parser.add_argument("--use_reference_bconv", type=parse_switch, default=False)
    parser.add_argument("--use_indirect_bgemm", type=parse_switch, default=False)
    parser.add_argument("--report_peak_memory_footprint", type=parse_switch, default=False)
    parser.add_argument(
        "--describe", action="store_true", help="print the interpreter's name and version, and end"
    )
    return parser


def parse_switch(text):
    if text.lower() not in ("true", "false", "1", "0"):
        raise argparse.ArgumentTypeError("must be true or false")
    return text.lower() in ("true", "1")


def describe():
    """Print the name and the version of the interpreter, which must load."""
    try:
        name, package, _, _ = load_interpreter()
    except ImportError as error:
        print("none", flush=True)
        return report_missing_interpreter(error)
    print("%s %s" % (name, find_version(name, package)))
    return 0


def find_version(name, package):
    version = getattr(sys.modules.get(package), "__version__", "")
    if version:
        return version
    try:
        from importlib import metadata  # slow, and missing in Python 3.7
    except ImportError:
        return "unknown"
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "unknown"


def benchmark(options):
    try:
        with open(options.graph, "rb") as file:
            model = file.read()
    except OSError as error:
        return report_failure("Can't read the graph %s: %s" % (options.graph, error.strerror))
    try:
        if options.input_layer_shape:
            model = set_input_shapes(model, options)
        _, _, module, make = load_interpreter()
        measure(lambda: make(module, model, options), len(model), options=options)
    except ImportError as error:
        return report_missing_interpreter(error)
    except Exception as error:  # the interpreter may raise anything for a bad model
        return report_failure(" ".join(str(error).split()) or type(error).__name__)
    return 0


def measure(make, size, options):
    start_mb = resident_mb()
    started = time.perf_counter()
    interpreter = make()
    init_us = (time.perf_counter() - started) * 1e6
    print_info("Loaded model %s" % options.graph)
    print_info("The input model file size (MB): %g" % (size / 1e6))
    print_info("Initialized session in %gms." % (init_us / 1e3))
    init_mb = resident_mb()
    batches = read_batches(interpreter, options)
    inputs = batches[0]
    warmup_us = run_series(
        interpreter,
        inputs,
        min_runs=options.warmup_runs,
        min_s=options.warmup_min_secs,
        max_s=options.max_secs,
    )
    times_us = run_series(
        interpreter,
        inputs,
        min_runs=options.num_runs,
        min_s=options.min_secs,
        max_s=options.max_secs,
    )
    numbers = (init_us, warmup_us[0] if warmup_us else 0, mean(warmup_us), mean(times_us))
    print_info(
        "Inference timings in us: Init: %g, First inference: %g, "
        "Warmup (avg): %g, Inference (avg): %g" % numbers
    )
    print_info(
        "Memory footprint delta from the start of the tool (MB): init=%g overall=%g"
        % (init_mb - start_mb, resident_mb() - start_mb)
    )
    if options.report_peak_memory_footprint:
        print_info("Overall peak memory footprint (MB) via periodic monitoring: %g" % peak_mb())
        print_info("- VmRSS              : %d MB" % resident_mb())
    if options.output_filepath:
        write_outputs(make, batches, path=options.output_filepath)


def run_series(interpreter, inputs, min_runs, min_s, max_s):
    """Return the microseconds of each run.

    The series ends when there are enough runs and they took long enough, or when they took too
    long.
    """
    print_info(
        "Running benchmark for at least %d iterations and at least %g seconds "
        "but terminate if exceeding %g seconds." % (min_runs, min_s, max_s)
    )
    times_us = []
    series_started = time.perf_counter()
    elapsed_s = 0.0
    while (len(times_us) < min_runs or elapsed_s < min_s) and elapsed_s <= max_s:
        started = time.perf_counter()
        interpreter.predict(inputs)
        ended = time.perf_counter()
        times_us.append((ended - started) * 1e6)
        elapsed_s = ended - series_started
    print_info(format_series(times_us))
    return times_us


def format_series(times_us):
    if not times_us:
        return "count=0\n"
    if len(times_us) == 1:
        return "count=1 curr=%g\n" % times_us[0]
    average = mean(times_us)
    deviation = math.sqrt(sum((time_us - average) ** 2 for time_us in times_us) / len(times_us))
    extremes = (times_us[0], times_us[-1], min(times_us), max(times_us))
    numbers = (len(times_us), *extremes, average, deviation)
    return "count=%d first=%g curr=%g min=%g max=%g avg=%g std=%d\n" % numbers


def mean(values):
    return sum(values) / len(values) if values else 0


def parse_ranges(options):
    """Return the least and the largest value of each input that has a range, by its number."""
    names = options.input_layer.split(",")
    ranges = {}
    for text in options.input_layer_value_range.split(":"):
        if text:
            name, low, high = text.split(",")
            ranges[names.index(name)] = (int(low), int(high))
    return ranges


def parse_shape(text):
    return [int(size) for size in text.split(",") if text]


def set_input_shapes(model, options):
    """Return the model's bytes with the shapes of its inputs replaced.

    Every other shape follows from them when the interpreter starts. The numbers of the fields are
    those of TensorFlow Lite's schema.
    """
    data = bytearray(model)
    texts = options.input_layer_shape.split(":")
    if not texts[-1]:  # as for the tool, a colon ends the shape of a scalar that is the last
        texts.pop()
    shapes = [parse_shape(text) for text in texts]

    def read(form, position):
        return struct.unpack_from("<" + form, data, position)[0]

    def follow(position):
        return position + read("I", position)

    def find(table, number):
        fields = table - read("i", table)
        end = read("H", fields)
        offset = read("H", fields + 4 + 2 * number) if 4 + 2 * number < end else 0
        if not offset:
            raise ValueError("the model lacks field %d of a table" % number)
        return follow(table + offset)

    graph = follow(find(read("I", 0), 2) + 4)
    tensors, inputs = find(graph, 0), find(graph, 1)
    if read("I", inputs) != len(shapes):
        message = "input_layer_shape=%s: the model has %d inputs"
        raise ValueError(message % (options.input_layer_shape, read("I", inputs)))
    for number, shape in enumerate(shapes):
        if not shape:  # a scalar, whose shape may be absent
            continue
        index = read("i", inputs + 4 + 4 * number)
        sizes = find(follow(tensors + 4 + 4 * index), 0)
        if read("I", sizes) != len(shape):
            message = "input_layer_shape=%s: input %d has %d dimensions"
            raise ValueError(message % (options.input_layer_shape, number, read("I", sizes)))
        struct.pack_into("<%di" % len(shape), data, sizes + 4, *shape)
    return bytes(data)


def random_inputs(interpreter, ranges):
    return [
        make_input(shape, dtype, bounds=ranges.get(number))
        for number, (shape, dtype) in enumerate(
            zip(interpreter.input_shapes, interpreter.input_types)
        )
    ]


def make_input(shape, dtype, bounds):
    """Return an input like the tool's, the same in every call.

    Without bounds, floats are from -0.5 to 0.5, and integers in their type's range.
    """
    import numpy as np

    random = np.random.RandomState(0)  # the numpy of old systems has it
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        low, high = bounds or (-0.5, 0.5)
        return random.uniform(low, high, shape).astype(dtype)
    low, high = bounds or INTEGER_RANGES.get(dtype.name, INDEX_RANGE)
    return random.randint(low, high + 1, shape, dtype="int64").astype(dtype)


def read_batches(interpreter, options):
    """Return lists of the model's inputs, at least one: from their files, or random."""
    shapes = interpreter.input_shapes
    names = options.input_layer.split(",") if len(shapes) > 1 else [options.input_layer]
    if options.input_layer and len(names) != len(shapes):
        message = "input_layer=%s: the model has %d inputs"
        raise ValueError(message % (options.input_layer, len(shapes)))
    files = {
        number: read_values(path, shapes[number], dtype=interpreter.input_types[number])
        for number, path in parse_value_files(options, names).items()
    }
    counts = {len(values) for values in files.values()} or {1}
    if len(counts) > 1:
        raise ValueError("the files of the inputs have %s inputs" % sorted(counts))
    random = random_inputs(interpreter, parse_ranges(options))
    batches = []
    for row in range(counts.pop()):
        inputs = list(random)
        for number, values in files.items():
            inputs[number] = values[row]
        batches.append(inputs)
    return batches


def read_values(path, shape, dtype):
    """Return the values of at least one input, of shape (n, *shape)."""
    import numpy as np

    dtype = np.dtype(dtype)
    with open(path, "rb") as file:
        content = file.read()
    size = dtype.itemsize * int(np.prod(shape))
    if not content or len(content) % size:
        raise ValueError("%s has %d bytes: an input has %d" % (path, len(content), size))
    values = np.frombuffer(content, dtype.newbyteorder("<")).astype(dtype)
    return values.reshape((-1, *shape))


def parse_value_files(options, names):
    """Return the path of each input that has a file, by its number.

    Each is NAME:FILE, where colons inside either are doubled. Commas are between them.
    """
    text = options.input_layer_value_files
    paths = {}
    for part in text.split(",") if len(names) > 1 else [text]:
        if not part:
            continue
        match = re.match(r"((?:[^:]|::)+):((?:[^:]|::)+)$", part)
        name, path = [quoted.replace("::", ":") for quoted in match.groups()] if match else ("", "")
        if not match or name not in names:
            message = (
                "input_layer_value_files=%s: must be the NAME of input_layer=%s, a colon and a file"
            )
            raise ValueError(message % (text, options.input_layer))
        paths[names.index(name)] = path
    return paths


def write_outputs(make, batches, path):
    """Write the outputs for each input one after the other: raw values, little-endian.

    Each has an interpreter of its own, as in the C++ tool: a model may remember earlier inputs.
    """
    with open(path, "wb") as file:
        for inputs in batches:
            for output in make().predict(inputs):
                file.write(output.astype(output.dtype.newbyteorder("<")).tobytes())


def load_interpreter():
    """Return the first of INTERPRETERS that is installed and loads, with its module.

    Raises ImportError if none does.
    """
    problems = []
    for name, package, load, make in INTERPRETERS:
        if importlib.util.find_spec(package) is None:
            continue
        try:
            importlib.import_module("numpy")
            module = load(package)
        except Exception as error:  # the package is incomplete, or for another machine or numpy
            problems.append("%s does not load: %s" % (name, " ".join(str(error).split())))
            continue
        for problem in problems:
            print("WARN: " + problem, file=sys.stderr, flush=True)
        return name, package, module, make
    names = "%s, %s or %s" % tuple(name for name, _, _, _ in INTERPRETERS)
    raise ImportError(
        "; ".join(problems) or "pip install %s there; %s" % (names, BINARY_MODEL_HINT)
    )


def load_larq(package):
    """Import the extension without its package, which would import TensorFlow for many seconds."""
    (folder,) = importlib.util.find_spec(package).submodule_search_locations
    folder = os.path.join(folder, "tflite", "python")
    (file,) = [
        name for name in os.listdir(folder) if re.match(r"interpreter_wrapper_lite.*\.so$", name)
    ]
    name = "interpreter_wrapper_lite"
    loader = importlib.machinery.ExtensionFileLoader(name, os.path.join(folder, file))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


def load_lite(package):
    """Import the module with its package, which imports nothing slow but numpy."""
    return importlib.import_module(package + ".interpreter")


def make_larq(module, model, options):
    return module.LiteInterpreter(
        model,
        options.num_threads,
        options.use_reference_bconv,
        options.use_indirect_bgemm,
        options.use_xnnpack,
    )


class Lite:
    """TensorFlow Lite's own interpreter, under either of its names, with the interface of LCE's."""

    def __init__(self, module, model, options):
        for flag in ("use_reference_bconv", "use_indirect_bgemm"):
            if getattr(options, flag):
                raise ValueError("%s=true: only larq-compute-engine has that" % flag)
        settings = {"model_content": model, "num_threads": options.num_threads}
        if not options.use_xnnpack:
            if not hasattr(module, "OpResolverType"):
                raise ValueError("use_xnnpack=false: this interpreter is too old for that")
            settings["experimental_op_resolver_type"] = (
                module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
            )
        try:
            self.interpreter = module.Interpreter(**settings)
            self.interpreter.allocate_tensors()
        except SystemError as error:  # an extension for numpy 1 under numpy 2
            message = "%s and numpy %s do not fit: pip install 'numpy<2'"
            name = module.__name__.partition(".")[0].replace("_", "-")
            raise ImportError(message % (name, sys.modules["numpy"].__version__)) from error
        self.inputs = self.interpreter.get_input_details()
        self.outputs = [detail["index"] for detail in self.interpreter.get_output_details()]
        # A dynamic dimension has the size 1.
        self.input_shapes = [tuple(detail["shape"]) for detail in self.inputs]
        self.input_types = [detail["dtype"] for detail in self.inputs]

    def predict(self, inputs):
        for detail, values in zip(self.inputs, inputs):
            self.interpreter.set_tensor(detail["index"], values)
        self.interpreter.invoke()
        return [self.interpreter.get_tensor(index) for index in self.outputs]


INTERPRETERS = (
    ("larq-compute-engine", "larq_compute_engine", load_larq, make_larq),
    ("ai-edge-litert", "ai_edge_litert", load_lite, Lite),
    ("tflite-runtime", "tflite_runtime", load_lite, Lite),
)


def resident_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MIB


def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MIB


def print_info(text):
    print("INFO: " + text, flush=True)


def report_missing_interpreter(error):
    print("ERROR: %s" % error, file=sys.stderr, flush=True)
    return NO_INTERPRETER


def report_failure(text):
    print("ERROR: %s" % text, file=sys.stderr)
    if "unresolved custom op: Lce" in text:
        print("ERROR: " + BINARY_MODEL_HINT, file=sys.stderr)
    print("ERROR: Benchmarking failed.", file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
