"""The tables, as the newest migration leaves them.

Times are ISO 8601 in UTC, JSON is text, and logs are compressed with zstd.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    true,
)

metadata = MetaData()


def _slot() -> tuple[Column[Any], ...]:
    """Return the columns for a process's slot in its batch, which the oldest runs do not have."""
    return Column("batch", String(16)), Column("block", Integer), Column("position", Integer)


sweep_trials = Table(
    "sweep_trials",
    metadata,
    Column("sweep", String(200), primary_key=True),
    Column("trial_id", ForeignKey("trials.id"), primary_key=True, index=True),
    Column("submitted_at", String(32), nullable=False),
    Column("point", Text),  # JSON, for trials that a search sampled
)

trials = Table(
    "trials",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("twin", String(16), nullable=False, index=True),
    Column("sweep", String(200), nullable=False, index=True),
    Column("model", String(100), nullable=False),
    Column("parameters", Text, nullable=False),
    Column("precision", String(16), nullable=False),
    Column("dataset", String(100), nullable=False),
    Column("recipe", Text, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("status", String(16), nullable=False),
    Column("reason", String(32)),
    Column("message", Text),
    Column("accuracy", Float),
    Column("params", BigInteger),
    Column("node", String(200)),
    Column("processors", Text),
    Column("versions", Text),
    Column("quality", Text),
    *(
        Column(part, Float)
        for part in ("waiting_s", "import_s", "data_s", "fit_s", "convert_s", "evaluate_s")
    ),
    Column("submitted_at", String(32), nullable=False),
    Column("finished_at", String(32)),
    Column("form", String(16), index=True),
)

# Sweeps that were submitted to a Ray cluster. Ray forgets its jobs when it ends; these rows remain.
jobs = Table(
    "jobs",
    metadata,
    Column("id", String(64), primary_key=True),  # Ray's submission id
    Column("sweep", String(200), nullable=False, index=True),
    Column("file", Text, nullable=False),
    Column("node", String(200), nullable=False),  # the machine that it runs on
    Column("server", String(200), nullable=False),  # URL of the jobs server on that machine
    Column("state", String(16), nullable=False),  # pending, running, done, failed, stopped or lost
    Column("message", Text, nullable=False),
    Column("submitted_at", String(32), nullable=False),
    Column("ended_at", String(32)),
)

epochs = Table(
    "epochs",
    metadata,
    Column("trial_id", ForeignKey("trials.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("loss", Float, nullable=False),
    Column("accuracy", Float, nullable=False),
    Column("validation_loss", Float),
    Column("validation_accuracy", Float),
    Column("seconds", Float, nullable=False),
)

# Trials that a process trains now. Its rows expire unless it renews them.
running_trials = Table(
    "running_trials",
    metadata,
    Column("trial_id", ForeignKey("trials.id"), primary_key=True),
    Column("process", String(200), primary_key=True),
    Column("started_at", String(32), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("epochs", Integer, nullable=False),
    Column("loss", Float),
    Column("expires", Float, nullable=False),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("format", String(32), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("operators", Text, nullable=False),
    Column("binary_macs", BigInteger),
    Column("float_macs", BigInteger),
    Column("signature", Text),
    Column("name", String(200)),
    Column("created_at", String(32), nullable=False),
)

# Two trials may produce the same bytes, whose accuracy depends on the trial's data set.
trial_artifacts = Table(
    "trial_artifacts",
    metadata,
    Column("trial_id", ForeignKey("trials.id"), primary_key=True),
    Column("artifact", ForeignKey("artifacts.sha256"), primary_key=True, index=True),
    Column("accuracy", Float, nullable=False),
    Column("agreement", Float, nullable=False),
    # A bit for each test image, in the test set's order: whether its class was right.
    Column("correct_zstd", LargeBinary),
    Column("created_at", String(32), nullable=False),
)

# What latency depends on, apart from weights. The artifact of a form is an untrained network, and
# belongs to no trial. There is none if the form could not be built or converted.
forms = Table(
    "forms",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("model", String(200), nullable=False),
    Column("parameters", Text, nullable=False),
    Column("precision", String(16)),
    Column("input_shape", Text),
    Column("classes", Integer),
    Column("converter", String(100), nullable=False),
    Column("artifact", ForeignKey("artifacts.sha256"), index=True),
    Column("reason", String(32)),
    Column("message", Text),
    Column("built_at", String(32), nullable=False),
)

# What the search of a sweep looks for, as it was last submitted.
searches = Table(
    "searches",
    metadata,
    Column("sweep", String(200), primary_key=True),
    Column("method", String(16), nullable=False),
    Column("trials", Integer),
    Column("space", Text),
    Column("submitted_at", String(32), nullable=False),
)

# The objectives of a search and its constraints, which have `at_most`. A metric of a device has a
# row for each device of its place; another has one row without a device.
search_metrics = Table(
    "search_metrics",
    metadata,
    Column("sweep", ForeignKey("searches.sweep"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("device", String(200), primary_key=True),
    Column("name", Text, nullable=False),
    Column("metric", String(16), nullable=False),
    Column("place", String(200)),
    Column("threads", Integer),
    Column("at_most", Float),
)

cases = Table(
    "cases",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("artifact", ForeignKey("artifacts.sha256"), nullable=False),
    Column("device", String(200), nullable=False, index=True),
    Column("device_kind", String(16), nullable=False),
    Column("tool", String(100), nullable=False),
    Column("tool_sha256", String(64), nullable=False),
    Column("interpreter", String(100), nullable=False),
    Column("protocol", String(32), nullable=False),
    Column("protocol_settings", Text, nullable=False),
    Column("threads", Integer, nullable=False),
    Column("cpus", String(200), nullable=False, server_default=""),
    Column("inputs", Text),
    Column("resized", Boolean),
    Column("planned_at", String(32), nullable=False),
    Index("ix_cases_place", "artifact", "device"),
)

measurements = Table(
    "measurements",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("case_id", ForeignKey("cases.id"), nullable=False),
    Column("measured_at", String(32), nullable=False, index=True),
    Column("valid", Boolean, nullable=False, server_default=true()),
    Column("artifact_run", String(64), nullable=False),
    Column("latency_us", Float, nullable=False),
    Column("latency_low_us", Float),
    Column("latency_high_us", Float),
    Column("runs", Integer, nullable=False),
    Column("disturbed_runs", Integer, nullable=False, server_default="0"),
    Column("peak_memory_bytes", BigInteger),
    Column("temperature_c", Float),
    Column("frequency_khz", Float),
    *(Column(name, Float) for name in ("energy_uj", "energy_low_uj", "energy_high_uj")),
    Column("quality", Text, nullable=False),
    Column("facts", Text, nullable=False),
    Column("harness_version", String(32), nullable=False),
    Index("ix_measurements_newest", "case_id", "valid", "measured_at", "id"),
)

runs = Table(
    "runs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("measurement_id", ForeignKey("measurements.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("started_at", String(32), nullable=False),
    Column("seconds", Float, nullable=False),
    Column("exit_code", Integer, nullable=False),
    Column("count", Integer, nullable=False),
    *(Column(name, Float, nullable=False) for name in ("first_us", "min_us", "max_us", "avg_us")),
    *(
        Column(name, Float)
        for name in ("std_us", "p5_us", "median_us", "p95_us", "init_us", "warmup_avg_us")
    ),
    *(Column(name, BigInteger) for name in ("peak_memory_bytes", "resident_memory_bytes")),
    *_slot(),
    *(Column(name, Float) for name in ("temperature_c", "frequency_khz", "busy", "power_uw")),
    Column("throttled", Boolean),
    Column("disturbed", String(200), nullable=False, server_default=""),
    Column("stdout_zstd", LargeBinary, nullable=False),
    Column("stderr_zstd", LargeBinary, nullable=False),
    Column("watch_zstd", LargeBinary),
    # A covering index, as a million runs take over 300 MB.
    Index("ix_runs_spread", "measurement_id", "disturbed", "avg_us"),
)

# Processes of cases that have not ended. An interrupted bench continues after them, and output that
# could not be parsed is kept.
pending_runs = Table(
    "pending_runs",
    metadata,
    Column("case_id", ForeignKey("cases.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("started_at", String(32), nullable=False),
    Column("seconds", Float, nullable=False),
    Column("exit_code", Integer, nullable=False),
    Column("artifact_sha256", String(64), nullable=False),
    *_slot(),
    Column("stdout_zstd", LargeBinary, nullable=False),
    Column("stderr_zstd", LargeBinary, nullable=False),
    Column("watch_zstd", LargeBinary),
)

# Cases that were measured together on a device, in an order that the batch's id determines.
batches = Table(
    "batches",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("device", String(200), nullable=False, index=True),
    Column("started_at", String(32), nullable=False),
    Column("ordering", String(16), nullable=False),
    Column("cases", Integer, nullable=False),
    Column("waited_s", Float, nullable=False, server_default="0"),
    Column("waited_for", Text, nullable=False, server_default=""),
    Column("idle_power_uw", Float),
)

# Latencies of one small model before and after each batch, which show the state of the device
# itself. There is no latency if the model could not run.
canaries = Table(
    "canaries",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("batch", ForeignKey("batches.id"), nullable=False, index=True),
    Column("device", String(200), nullable=False, index=True),
    Column("moment", String(8), nullable=False),  # before or after
    Column("measured_at", String(32), nullable=False),
    Column("artifact", String(64), nullable=False),
    Column("tool", String(100), nullable=False),
    Column("tool_sha256", String(64), nullable=False),
    Column("interpreter", String(100), nullable=False),
    Column("cpus", String(200), nullable=False),
    Column("latency_us", Float),
    Column("temperature_c", Float),
    Column("frequency_khz", Float),
    Column("disturbed", String(200), nullable=False),
    Column("message", Text, nullable=False),
    Column("stdout_zstd", LargeBinary, nullable=False),
    Column("stderr_zstd", LargeBinary, nullable=False),
)

# Whether a device's tool gives the same outputs as the interpreter here, for a few images.
answers = Table(
    "answers",
    metadata,
    Column("artifact", ForeignKey("artifacts.sha256"), primary_key=True),
    Column("device", String(200), primary_key=True),
    Column("tool_sha256", String(64), primary_key=True),
    Column("interpreter", String(100), primary_key=True),
    Column("tool", String(100), nullable=False),
    Column("images", Integer, nullable=False),
    Column("largest_difference", Float),
    Column("classes_agree", Boolean),
    Column("message", Text, nullable=False),
    Column("checked_at", String(32), nullable=False),
)

# Whether a tool runs LCE's optimised kernels on a device: the binary canary's time without them,
# divided by its time with them.
kernels = Table(
    "kernels",
    metadata,
    Column("device", String(200), primary_key=True),
    Column("tool_sha256", String(64), primary_key=True),
    Column("interpreter", String(100), primary_key=True),
    Column("tool", String(100), nullable=False),
    *(Column(name, Float) for name in ("ratio", "ratio_low", "ratio_high")),
    Column("verdict", String(16), nullable=False),  # optimised, reference or unknown
    Column("message", Text, nullable=False),
    Column("checked_at", String(32), nullable=False),
)

# Where an artifact's time goes: a row for each operator, from one process with profiling.
operators = Table(
    "operators",
    metadata,
    Column("case_id", ForeignKey("cases.id"), primary_key=True),
    Column("profiled_at", String(32), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("type", String(200), nullable=False),
    Column("name", Text, nullable=False),
    # binary convolution, quantise, float layer or other
    Column("role", String(32), nullable=False),
    Column("avg_us", Float, nullable=False),
    Column("share", Float, nullable=False),
    Column("calls", Integer, nullable=False),
)

# The last known state of each device.
devices = Table(
    "devices",
    metadata,
    Column("id", String(200), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("message", Text, nullable=False),
    Column("facts", Text, nullable=False),
    Column("seen_at", String(32)),
    Column("changed_at", String(32), nullable=False),
)

# What a bench was asked for and has not ended: a row for each artifact, device and protocol.
queue = Table(
    "queue",
    metadata,
    Column("device", String(200), primary_key=True),
    Column("artifact", ForeignKey("artifacts.sha256"), primary_key=True),
    Column("protocol_id", String(16), primary_key=True),
    Column("protocol", String(32), nullable=False),
    Column("threads", Integer, nullable=False),
    Column("asked_at", String(32), nullable=False),
)

# One row, which identifies this database to devices that several databases share.
identity = Table("identity", metadata, Column("id", String(32), primary_key=True))

# A position in line for each harness that waits for a device. Of the positions that have not
# expired, the one with the lowest number has the device.
leases = Table(
    "leases",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("device", String(200), nullable=False, index=True),
    Column("token", String(32), nullable=False),
    Column("owner", String(200), nullable=False),
    Column("process", String(200), nullable=False),
    Column("expires", Float, nullable=False),  # seconds since 1970, by the database's clock
)

failures = Table(
    "failures",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("trial_id", ForeignKey("trials.id"), index=True),
    Column("case_id", ForeignKey("cases.id"), index=True),
    Column("device", String(200), index=True),
    Column("reason", String(32), nullable=False),
    Column("message", Text, nullable=False),
    Column("log_zstd", LargeBinary, nullable=False),
    Column("failed_at", String(32), nullable=False),
)

# Latencies that papers and READMEs give, kept apart from what was measured here.
published = Table(
    "published",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("model", String(200), nullable=False),
    Column("precision", String(16), nullable=False),
    Column("device", String(200), nullable=False),
    Column("threads", Integer, nullable=False),
    Column("latency_us", Float, nullable=False),
    Column("accuracy", Float),  # 0 to 1, as the source gives it
    Column("size_bytes", BigInteger),
    Column("source", String(500), nullable=False),
    Column("dated", String(32), nullable=False),
    Column("imported_at", String(32), nullable=False),
    UniqueConstraint("model", "precision", "device", "threads", "source", "dated"),
)
