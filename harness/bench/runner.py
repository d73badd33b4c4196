#!/usr/bin/env python3
"""Benchmarks a .tflite model with a Python interpreter, in the words of lce_benchmark_model.

A program of its own: it is pushed to devices and needs only Python (3.7 and later), numpy and an interpreter there:
the first of INTERPRETERS that loads. It takes the tool's main flags and prints its lines, so one parser reads both.
Each run is timed around one whole call, the copies of input and output included: some microseconds more than the C++
tool counts. Loading the interpreter's code is not part of the initialization, as it is none of the C++ tool's.

A file of input values may hold several inputs, one after the other: the first is what is benchmarked, and the outputs
of each go to the output file. The C++ tool takes one.
"""

import argparse
import importlib.machinery
import importlib.util
import math
import os
import re
import resource
import sys
import time

NO_INTERPRETER = 3
MIB = 1024.0 * 1024.0  # what the tool calls MB where it speaks of memory
OF_BINARY_MODELS = (
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
    ("input_layer_value_files", "Input value files"),
    ("output_filepath", "File path to export outputs layer to"),
    ("use_xnnpack", "Use xnnpack"),
    ("use_reference_bconv", "Use reference bconv"),
    ("use_indirect_bgemm", "Use indirect bgemm"),
)


def main():
    options, unknown = flags().parse_known_args()
    if options.describe:
        return describe()
    say("STARTING!")
    if unknown:
        print("WARN: Unconsumed cmdline flags: " + " ".join(unknown), flush=True)
    for name, words in ECHOES:
        if any(argument.partition("=")[0] == "--" + name for argument in sys.argv[1:]):
            value = getattr(options, name)
            say(
                "%s: [%s]"
                % (
                    words,
                    "%g" % value
                    if isinstance(value, float)
                    else int(value)
                    if isinstance(value, bool)
                    else value,
                )
            )
    return benchmark(options)


def flags():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--graph", default="")
    parser.add_argument("--input_layer", default="", help="the name of the only input")
    parser.add_argument("--input_layer_shape", default="", help="its shape, as 1,28,28,1")
    parser.add_argument(
        "--input_layer_value_files", default="", help="NAME:FILE of raw values, a colon doubled"
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
    parser.add_argument("--use_xnnpack", type=switch, default=True)
    parser.add_argument("--use_reference_bconv", type=switch, default=False)
    parser.add_argument("--use_indirect_bgemm", type=switch, default=False)
    parser.add_argument("--report_peak_memory_footprint", type=switch, default=False)
    parser.add_argument(
        "--describe", action="store_true", help="print the interpreter's name and version, and end"
    )
    return parser


def switch(text):
    if text.lower() not in ("true", "false", "1", "0"):
        raise argparse.ArgumentTypeError("has to be true or false")
    return text.lower() in ("true", "1")


def describe():
    """Loads it, as an interpreter that does not load is none."""
    try:
        name, package, _, _ = chosen()
    except ImportError as error:
        print("none", flush=True)
        return no_interpreter(error)
    print("%s %s" % (name, version(name, package)))
    return 0


def version(name, package):
    found = getattr(sys.modules.get(package), "__version__", "")
    if found:
        return found
    try:
        from importlib import metadata  # slower than all else here, and not in Python 3.7
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
        return fail("Can't read the graph %s: %s" % (options.graph, error.strerror))
    try:
        _, _, module, make = chosen()
        measure(lambda: make(module, model, options), len(model), options)
    except ImportError as error:
        return no_interpreter(error)
    except (
        Exception
    ) as error:  # the interpreter raises what it likes at a bad model; its words are what is wanted
        return fail(" ".join(str(error).split()) or type(error).__name__)
    return 0


def measure(make, size, options):
    at_start = resident_mb()
    started = time.perf_counter()
    interpreter = make()
    init_us = (time.perf_counter() - started) * 1e6
    say("Loaded model %s" % options.graph)
    say("The input model file size (MB): %g" % (size / 1e6))
    say("Initialized session in %gms." % (init_us / 1e3))
    after_init = resident_mb()
    batches = (
        read_inputs(interpreter, options)
        if options.input_layer_value_files
        else [random_inputs(interpreter)]
    )
    inputs = batches[0]
    warmup = series(
        interpreter, inputs, options.warmup_runs, options.warmup_min_secs, options.max_secs
    )
    timings = series(interpreter, inputs, options.num_runs, options.min_secs, options.max_secs)
    numbers = (init_us, warmup[0] if warmup else 0, mean(warmup), mean(timings))
    say(
        "Inference timings in us: Init: %g, First inference: %g, Warmup (avg): %g, Inference (avg): %g"
        % numbers
    )
    say(
        "Memory footprint delta from the start of the tool (MB): init=%g overall=%g"
        % (after_init - at_start, resident_mb() - at_start)
    )
    if options.report_peak_memory_footprint:
        say("Overall peak memory footprint (MB) via periodic monitoring: %g" % peak_mb())
        say("- VmRSS              : %d MB" % resident_mb())
    if options.output_filepath:
        write_outputs(interpreter, batches, options.output_filepath)


def series(interpreter, inputs, least_runs, least_s, most_s):
    """Microseconds of each run, until there are enough of them and they took long enough, or took too long."""
    limits = (least_runs, least_s, most_s)
    say(
        "Running benchmark for at least %d iterations and at least %g seconds but terminate if exceeding %g seconds."
        % limits
    )
    taken = []
    begun = time.perf_counter()
    elapsed = 0.0
    while (len(taken) < least_runs or elapsed < least_s) and elapsed <= most_s:
        started = time.perf_counter()
        interpreter.predict(inputs)
        ended = time.perf_counter()
        taken.append((ended - started) * 1e6)
        elapsed = ended - begun
    say(summary(taken))
    return taken


def summary(taken):
    if not taken:
        return "count=0\n"
    if len(taken) == 1:
        return "count=1 curr=%g\n" % taken[0]
    average = mean(taken)
    deviation = math.sqrt(sum((one - average) ** 2 for one in taken) / len(taken))
    numbers = (len(taken), taken[0], taken[-1], min(taken), max(taken), average, deviation)
    return "count=%d first=%g curr=%g min=%g max=%g avg=%g std=%d\n" % numbers


def mean(taken):
    return sum(taken) / len(taken) if taken else 0


def random_inputs(interpreter):
    return [
        values(shape, kind)
        for shape, kind in zip(interpreter.input_shapes, interpreter.input_types)
    ]


def values(shape, kind):
    """An input as the tool makes it, the same one every time.

    Floats are of -0.5 to 0.5, whole numbers of 0 to 126.
    """
    import numpy as np

    random = np.random.RandomState(0)  # in the numpy of old systems too
    kind = np.dtype(kind)
    if kind.kind == "f":
        return random.uniform(-0.5, 0.5, shape).astype(kind)
    return random.randint(0, 127, shape).astype(kind)


def read_inputs(interpreter, options):
    """What the file holds: one input or more, each as a list of the model's only input."""
    import numpy as np

    if len(interpreter.input_shapes) != 1:
        raise ValueError(
            "the model has %d inputs: values are taken for one" % len(interpreter.input_shapes)
        )
    shape, kind = interpreter.input_shapes[0], np.dtype(interpreter.input_types[0])
    file = value_file(options)
    if options.input_layer_shape and options.input_layer_shape != ",".join(map(str, shape)):
        words = "input_layer_shape=%s: the model's input is %s"
        raise ValueError(words % (options.input_layer_shape, ",".join(map(str, shape))))
    with open(file, "rb") as opened:
        content = opened.read()
    size = kind.itemsize * int(np.prod(shape))
    if not content or len(content) % size:
        raise ValueError("%s has %d bytes: an input has %d" % (file, len(content), size))
    read = np.frombuffer(content, kind.newbyteorder("<")).astype(kind)
    return [[one] for one in read.reshape((-1, *shape))]


def value_file(options):
    """The file of NAME:FILE, where a colon of either is doubled."""
    found = re.match(r"((?:[^:]|::)+):((?:[^:]|::)+)$", options.input_layer_value_files)
    name, file = [part.replace("::", ":") for part in found.groups()] if found else ("", "")
    if not found or name != options.input_layer:
        words = (
            "input_layer_value_files=%s: has to be the NAME of input_layer=%s, a colon and a file"
        )
        raise ValueError(words % (options.input_layer_value_files, options.input_layer))
    return file


def write_outputs(interpreter, batches, path):
    """Of each input, the model's outputs one after the other: raw values, little-endian."""
    with open(path, "wb") as file:
        for inputs in batches:
            for output in interpreter.predict(inputs):
                file.write(output.astype(output.dtype.newbyteorder("<")).tobytes())


def chosen():
    """The first of INTERPRETERS that is installed and loads, its module loaded. Raises ImportError where none does."""
    broken = []
    for name, package, load, make in INTERPRETERS:
        if importlib.util.find_spec(package) is None:
            continue
        try:
            importlib.import_module("numpy")
            module = load(package)
        except (
            Exception
        ) as error:  # a half of a package, another machine's, or one for another numpy
            broken.append("%s does not load: %s" % (name, " ".join(str(error).split())))
            continue
        for words in broken:
            print("WARN: " + words, file=sys.stderr, flush=True)
        return name, package, module, make
    names = "%s, %s or %s" % tuple(name for name, _, _, _ in INTERPRETERS)
    raise ImportError("; ".join(broken) or "pip install %s there; %s" % (names, OF_BINARY_MODELS))


def larq_module(package):
    """The extension without its package: importing that would import TensorFlow, for many seconds."""
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


def lite_module(package):
    """Through its package, which imports nothing but numpy that takes time."""
    return importlib.import_module(package + ".interpreter")


def larq(module, model, options):
    return module.LiteInterpreter(
        model,
        options.num_threads,
        options.use_reference_bconv,
        options.use_indirect_bgemm,
        options.use_xnnpack,
    )


class Lite:
    """TensorFlow Lite's own interpreter, under either of its names, with the same three words as LCE's."""

    def __init__(self, module, model, options):
        foreign = [
            flag for flag in ("use_reference_bconv", "use_indirect_bgemm") if getattr(options, flag)
        ]
        if foreign:
            raise ValueError("%s=true: only larq-compute-engine has that" % foreign[0])
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
        except SystemError as error:  # all that is heard of an extension for numpy 1 beside numpy 2
            words = "%s and numpy %s do not fit: pip install 'numpy<2'"
            name = module.__name__.partition(".")[0].replace("_", "-")
            raise ImportError(words % (name, sys.modules["numpy"].__version__)) from error
        self.inputs = self.interpreter.get_input_details()
        self.outputs = [one["index"] for one in self.interpreter.get_output_details()]
        self.input_shapes = [
            tuple(one["shape"]) for one in self.inputs
        ]  # 1 where a dimension is dynamic
        self.input_types = [one["dtype"] for one in self.inputs]

    def predict(self, inputs):
        for one, values in zip(self.inputs, inputs):
            self.interpreter.set_tensor(one["index"], values)
        self.interpreter.invoke()
        return [self.interpreter.get_tensor(index) for index in self.outputs]


INTERPRETERS = (
    ("larq-compute-engine", "larq_compute_engine", larq_module, larq),
    ("ai-edge-litert", "ai_edge_litert", lite_module, Lite),
    ("tflite-runtime", "tflite_runtime", lite_module, Lite),
)


def resident_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MIB


def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MIB


def say(text):
    print("INFO: " + text, flush=True)


def no_interpreter(error):
    print("ERROR: %s" % error, file=sys.stderr, flush=True)
    return NO_INTERPRETER


def fail(text):
    print("ERROR: %s" % text, file=sys.stderr)
    if "unresolved custom op: Lce" in text:
        print("ERROR: " + OF_BINARY_MODELS, file=sys.stderr)
    print("ERROR: Benchmarking failed.", file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
