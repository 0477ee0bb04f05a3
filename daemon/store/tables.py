"""The ledger's tables (SQLAlchemy Core): SQLite by default, PostgreSQL by URL. Times are seconds since the epoch, UTC, as float.

`event` is append-only truth; the other tables are what the next decision needs, written in the same transaction as the event.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from daemon.store.objects import Blob, Object

metadata = MetaData()
_Id = BigInteger().with_variant(Integer, "sqlite")

event = Table(
    "event",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),
    Column("model", String(64), nullable=False),
    Column("kind", String(64), nullable=False),  # "alarm", "incident.opened", "decision", "run.entered", "champion.moved", …
    Column("data", Object, nullable=False),
    Index("event_model_kind", "model", "kind"),
)

champion = Table(
    "champion",
    metadata,
    Column("model", String(64), primary_key=True),
    Column("version", String(64), nullable=False),
    Column("previous", String(64)),
    Column("epoch", Integer, nullable=False),
    Column("revision", Integer, nullable=False),  # compare-and-set
    Column("since", Float, nullable=False),
)

epoch = Table(
    "epoch",
    metadata,
    Column("model", String(64), primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("version", String(64), nullable=False),
    Column("started_at", Float, nullable=False),
    Column("ended_at", Float),
    Column("reference_path", Text),  # folder with records.parquet and bound.parquet; NULL = still learning
    Column("reference_digest", String(64)),
    Column("because", Text, nullable=False),
    Column("absorbed_from", Integer),  # the epoch whose reference comes back when the absorbing is undone; NULL = nothing was absorbed
)

barred = Table(
    "barred",
    metadata,
    Column("model", String(64), primary_key=True),
    Column("version", String(64), primary_key=True),
    Column("at", Float, nullable=False),
    Column("because", Text, nullable=False),
)

control = Table(
    "control",
    metadata,
    Column("model", String(64), primary_key=True),
    Column("paused", Boolean, nullable=False),
    Column("by", String(128), nullable=False),
    Column("because", Text, nullable=False),
    Column("at", Float, nullable=False),
)

run = Table(
    "run",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("model", String(64), nullable=False),
    Column("state", String(32), nullable=False),
    Column("entered_at", Float, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("ended_at", Float),
    Column("trigger", Object, nullable=False),  # {subject, detector, because, at, incident}
    Column("champion_version", String(64), nullable=False),
    Column("folder", Text, nullable=False),
    Column("attempt", Integer, nullable=False, default=0),  # of the current state
    Column("version", String(64)),  # what it registered
    Column("record", Object),  # the gate record: {passed, inconclusive, gates: [...], digest}
    Column("approved_by", String(128)),
    Column("because", Text, nullable=False, default=""),  # of the current state
    Column("detail", Object, nullable=False, default=dict),  # state-specific: job handle, counts, watch fold, train seconds
    Index("run_model", "model", "created_at"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("key", String(160), nullable=False, unique=True),
    Column("model", String(64), nullable=False),
    Column("kind", String(32), nullable=False),  # "aliases", "notify", "report"
    Column("payload", Object, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("done_at", Float),
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_at", Float, nullable=False, default=0.0),
    Column("error", Text),
)

pane = Table(
    "pane",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("model", String(64), nullable=False),
    Column("version", String(64), nullable=False),
    Column("start", Float, nullable=False),
    Column("end", Float, nullable=False),
    Column("seq", Integer, nullable=False),  # 0, then 1, 2 … for late additions to the same [start, end)
    Column("path", Text),  # Parquet of sampled records, relative to data_dir; NULL = none
    Column("n_seen", BigInteger, nullable=False),
    Column("n", BigInteger, nullable=False),
    Column("n_pairs", BigInteger, nullable=False),
    Column("sketches", Blob, nullable=False),
    Column("sample_ratio", Float),  # share of its records that was kept; NULL = not known (panes of before), or no record came
    UniqueConstraint("model", "version", "start", "seq"),
    Index("pane_start", "model", "start"),  # the oldest are removed first
)

doomed = Table(
    "doomed",
    metadata,
    Column("path", Text, primary_key=True),  # relative to data_dir: nothing in the ledger needs it any more, its file may still be there
)

key_run = Table(
    "key_run",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("model", String(64), nullable=False),
    Column("level", Integer, nullable=False),
    Column("n", BigInteger, nullable=False),
    Column("since", Float, nullable=False),  # of its records' times, the first
    Column("until", Float, nullable=False),  # the last: behind the horizon all of the run goes
)

key_block = Table(
    "key_block",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=False),  # its run's id * 2**20 + its place in the run
    Column("hashes", LargeBinary, nullable=False),  # blake2b-128 of the ids, in order: de-duplication and the label join
    Column("places", LargeBinary, nullable=False),  # of each a pane (8 bytes, 0 = not sampled) and a row (4)
)

label = Table(
    "label",
    metadata,
    Column("model", String(64), primary_key=True),
    Column("key", LargeBinary(16), primary_key=True),
    Column("record_id", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("received_at", Float, nullable=False),
    Column("value", Object, nullable=False),  # {"label": …} | {"value": …} | {"text": …} | {"score": …}, perhaps "probability"
    Column("source", String(64), nullable=False),
    Column("state", String(16), nullable=False),  # waiting · joined · unsampled · expired
    Column("pane_id", _Id),  # the pane of its record, once joined
    Column("row", Integer),
    Column("joined_at", Float),
    Index("label_state", "model", "state"),
    Index("label_pane", "model", "pane_id"),  # what is labelled in a pane
    Index("label_received", "model", "received_at"),  # when the newest came: asked at every tick
)

detector_state = Table(
    "detector_state",
    metadata,
    Column("model", String(64), primary_key=True),
    Column("epoch_key", String(32), primary_key=True),  # digest of (model, version, epoch, reference digest, settings digest)
    Column("detector", String(64), primary_key=True),
    Column("subject", String(256), primary_key=True),
    Column("state", Blob, nullable=False),
    Column("n_steps", BigInteger, nullable=False),
)

verdict = Table(
    "verdict",
    metadata,
    Column("model", String(64), primary_key=True),
    Column("detector", String(64), primary_key=True),
    Column("subject", String(256), primary_key=True),
    Column("at", Float, nullable=False),  # window or increment end
    Column("epoch", Integer, nullable=False),
    Column("data", Object, nullable=False),
)

incident = Table(
    "incident",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("model", String(64), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("opened_at", Float, nullable=False),
    Column("closed_at", Float),
    Column("last_alarm_at", Float, nullable=False),
    # {"detector:subject": {detector, subject, kind: drift|risk|performance|fairness, …}}
    Column("subjects", Object(each=("kind",)), nullable=False),
    Column("harmful", Boolean, nullable=False),
    Column("report", Text),  # path relative to data_dir
    Column("acknowledged_by", String(128)),
    Column("acknowledged_at", Float),
    Column("muted_until", Float),
    Column("muted_by", String(128)),
    Column("judged", String(16)),  # real · false · expected, by a person
    Column("judged_by", String(128)),
    Column("judged_at", Float),
    Column("note", Text),  # that person's reason
    Column("held", Object(none_as_null=True)),  # {"detector:subject": last alarm}: closed by a person and not quiet yet; NULL = nothing
    Index("incident_model", "model", "opened_at"),
    Column("diagnosis", Object(("harm", "shift", "because", "n", "errors_n"))),  # perhaps squares; n labelled records since it opened
    Column("evidence", Object(("named", "log10_e", "needed", "is_confirmed"), none_as_null=True)),  # newest alarm's; NULL = no e-process
)

counter = Table(
    "counter",
    metadata,
    Column("model", String(64), primary_key=True),
    Column("name", String(32), primary_key=True),  # records · labels · alarms · triggers · …
    Column("reason", String(32), primary_key=True),  # stored · sampled_out · duplicate · late · …
    Column("n", BigInteger, nullable=False),
)

mark = Table(
    "mark",
    metadata,
    Column("name", String(32), primary_key=True),  # "spool": everything before it is in committed panes
    Column("segment", BigInteger, nullable=False),
    Column("offset", BigInteger, nullable=False),
)
