"""The tables, as the newest migration leaves them. Times are ISO 8601 in UTC; JSON is text; logs are zstd."""

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


def _place() -> tuple[Column[Any], ...]:
    """Where a process stood in the order of its batch; empty for what was measured before there were batches."""
    return Column("batch", String(16)), Column("block", Integer), Column("position", Integer)


sweep_trials = Table(
    "sweep_trials",
    metadata,
    Column("sweep", String(200), primary_key=True),
    Column("trial_id", ForeignKey("trials.id"), primary_key=True, index=True),
    Column("submitted_at", String(32), nullable=False),
    Column("point", Text),  # JSON, where a search sampled it
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
    Column("versions", Text),
    *(
        Column(part, Float)
        for part in ("waiting_s", "import_s", "data_s", "fit_s", "convert_s", "evaluate_s")
    ),
    Column("submitted_at", String(32), nullable=False),
    Column("finished_at", String(32)),
)

# Sweeps that were handed over to a Ray cluster: Ray forgets its jobs when it ends, these rows don't.
jobs = Table(
    "jobs",
    metadata,
    Column("id", String(64), primary_key=True),  # Ray's submission id
    Column("sweep", String(200), nullable=False, index=True),
    Column("file", Text, nullable=False),
    Column("node", String(200), nullable=False),  # the machine that it runs on
    Column("server", String(200), nullable=False),  # where Ray Jobs answers there: a URL
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

artifacts = Table(
    "artifacts",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("format", String(32), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("operators", Text, nullable=False),
    Column("binary_macs", BigInteger, nullable=False),
    Column("float_macs", BigInteger, nullable=False),
    Column("name", String(200)),
    Column("created_at", String(32), nullable=False),
)

# Two trials may make the same bytes; what the bytes are worth, their trial's data set decides.
trial_artifacts = Table(
    "trial_artifacts",
    metadata,
    Column("trial_id", ForeignKey("trials.id"), primary_key=True),
    Column("artifact", ForeignKey("artifacts.sha256"), primary_key=True, index=True),
    Column("accuracy", Float, nullable=False),
    Column("agreement", Float, nullable=False),
    Column(
        "correct_zstd", LargeBinary
    ),  # a bit for each test image, in their order: whether its class was right
    Column("created_at", String(32), nullable=False),
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
    *_place(),
    *(Column(name, Float) for name in ("temperature_c", "frequency_khz", "busy", "power_uw")),
    Column("throttled", Boolean),
    Column("disturbed", String(200), nullable=False, server_default=""),
    Column("stdout_zstd", LargeBinary, nullable=False),
    Column("stderr_zstd", LargeBinary, nullable=False),
    Column("watch_zstd", LargeBinary),
    Index(
        "ix_runs_spread", "measurement_id", "disturbed", "avg_us"
    ),  # a million runs are over 300 MB
)

# Processes of cases that have not ended: a killed bench goes on after them, and what could not be read is kept.
pending_runs = Table(
    "pending_runs",
    metadata,
    Column("case_id", ForeignKey("cases.id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("started_at", String(32), nullable=False),
    Column("seconds", Float, nullable=False),
    Column("exit_code", Integer, nullable=False),
    Column("artifact_sha256", String(64), nullable=False),
    *_place(),
    Column("stdout_zstd", LargeBinary, nullable=False),
    Column("stderr_zstd", LargeBinary, nullable=False),
    Column("watch_zstd", LargeBinary),
)

# Cases of a device that were measured together, in an order that follows from the batch's id.
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

# The same small model before and after each batch: how the device itself is doing. No number where it could not run.
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

# Whether a device's tool gives the answers that the interpreter gives here, for a few images.
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

# Whether a tool runs LCE's optimised kernels on a device: times of the binary canary without them over with them.
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

# Where an artifact's time goes: a row for each operator that ran, of one process of the tool that took notes.
operators = Table(
    "operators",
    metadata,
    Column("case_id", ForeignKey("cases.id"), primary_key=True),
    Column("profiled_at", String(32), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("type", String(200), nullable=False),
    Column("name", Text, nullable=False),
    Column(
        "role", String(32), nullable=False
    ),  # binary convolution, quantise/dequantise, float layer or other
    Column("avg_us", Float, nullable=False),
    Column("share", Float, nullable=False),
    Column("calls", Integer, nullable=False),
)

# What was last seen of each device.
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

# What was asked for and has not ended: a row for each artifact, device and protocol.
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

# One row: what tells this database from all others, to devices that several use.
identity = Table("identity", metadata, Column("id", String(32), primary_key=True))

# A place for each harness that wants a device: of those that have not expired, the lowest number has it.
leases = Table(
    "leases",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("device", String(200), nullable=False, index=True),
    Column("token", String(32), nullable=False),
    Column("owner", String(200), nullable=False),
    Column("process", String(200), nullable=False),
    Column("expires", Float, nullable=False),  # seconds since 1970, by the database's own clock
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

# What papers and READMEs say: shown beside what was measured here, never among it.
published = Table(
    "published",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("model", String(200), nullable=False),
    Column("precision", String(16), nullable=False),
    Column("device", String(200), nullable=False),
    Column("threads", Integer, nullable=False),
    Column("latency_us", Float, nullable=False),
    Column("accuracy", Float),  # 0 to 1, on what the source says
    Column("size_bytes", BigInteger),
    Column("source", String(500), nullable=False),
    Column("dated", String(32), nullable=False),
    Column("imported_at", String(32), nullable=False),
    UniqueConstraint("model", "precision", "device", "threads", "source", "dated"),
)
