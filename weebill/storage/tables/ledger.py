"""The tables of the ledger: keys, usage, experiments."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    MetaData,
    Named,
    Table,
    TypedColumns,
    select,
    text,
)
from sqlalchemy.schema import CreateView

from weebill.accounts.tenants import DEFAULT_PROJECT
from weebill.storage.tables.types import Binary, Flag, Fraction, String, Whole

LEDGER: Final = MetaData()
"""Those of `weebill.storage.tables.tenants`, which keys refer to, are in it as well."""

_HOLDER: Final = "service_account_id IS NULL OR user_id IS NULL"


class _Meta(TypedColumns):
    name = Column(String, primary_key=True)
    value = Column(Whole, nullable=False)


META: Final = Table("meta", LEDGER, _Meta, sqlite_strict=True, sqlite_with_rowid=False)
"""Version numbers that every change of a table raises; whoever follows it compares them."""


class _Installation(TypedColumns):
    id = Column(String, primary_key=True)
    pepper: Named[bytes | None] = Column(Binary)
    sealed_with: Named[bytes | None] = Column(Binary)


INSTALLATION: Final = Table("installation", LEDGER, _Installation, sqlite_strict=True, sqlite_with_rowid=False)
"""One row: a random name of the contents, another one after a backup is restored; a hash of the pepper of keys, and the
id of the master key that secrets are sealed with."""


class _ApiKeys(TypedColumns):
    id = Column(String, primary_key=True)
    name = Column(String, nullable=False)
    role = Column(String, CheckConstraint("role IN ('user', 'admin')"), nullable=False)
    hint = Column(String, nullable=False)
    digest = Column(Binary, CheckConstraint("length(digest) = 32"), nullable=False, unique=True)
    created_at = Column(Whole, nullable=False)
    revoked_at: Named[int | None] = Column(Whole)
    made_in = Column(Whole, nullable=False)
    changed_in = Column(Whole, nullable=False)
    expires_at: Named[int | None] = Column(Whole)
    networks = Column(String, nullable=False)
    models = Column(String, nullable=False)
    endpoints = Column(String, nullable=False)
    local_only = Column(Flag, nullable=False)
    preferences = Column(String, nullable=False)
    previous_digest: Named[bytes | None] = Column(Binary, CheckConstraint("length(previous_digest) = 32"))
    previous_until: Named[int | None] = Column(Whole)
    last_used_at: Named[int | None] = Column(Whole)
    project_id = Column(String, ForeignKey("projects.id"), nullable=False, server_default=DEFAULT_PROJECT)
    user_id: Named[str | None] = Column(String, ForeignKey("users.id"))
    service_account_id: Named[str | None] = Column(String, ForeignKey("service_accounts.id"), CheckConstraint(_HOLDER))


API_KEYS: Final = Table("api_keys", LEDGER, _ApiKeys, sqlite_strict=True)
"""`made_in` and `changed_in` are versions of the table (`weebill.storage.versions`), which the last use does not raise.

`networks`, `models`, `endpoints` and `preferences` are JSON. A release that knows no projects makes keys of the first.
"""
Index("api_keys_by_change", API_KEYS.c.changed_in)
Index("api_keys_by_making", API_KEYS.c.made_in)
_HAS_PREVIOUS: Final = API_KEYS.c.previous_digest.is_not(None)  # else ANALYZE lets SQLite pass it by
Index("api_keys_by_previous_digest", API_KEYS.c.previous_digest, unique=True, sqlite_where=_HAS_PREVIOUS)
Index("api_keys_of_project", API_KEYS.c.project_id)
Index("api_keys_of_user", API_KEYS.c.user_id, sqlite_where=API_KEYS.c.user_id.is_not(None))
_OF_SERVICE_ACCOUNT: Final = API_KEYS.c.service_account_id.is_not(None)
Index("api_keys_of_service_account", API_KEYS.c.service_account_id, sqlite_where=_OF_SERVICE_ACCOUNT)


class _Experiments(TypedColumns):
    name = Column(String, primary_key=True)
    model = Column(String, nullable=False)
    candidate = Column(String, nullable=False)
    share = Column(Fraction, CheckConstraint("share > 0 AND share <= 1"), nullable=False)
    shadow = Column(Flag, nullable=False)
    state = Column(String, CheckConstraint("state IN ('running', 'promoted', 'rolled_back')"), nullable=False)
    created_at = Column(Whole, nullable=False)
    changed_at = Column(Whole, nullable=False)
    made_in = Column(Whole, nullable=False)


EXPERIMENTS: Final = Table("experiments", LEDGER, _Experiments, sqlite_strict=True)
# Those of SQLite's indexes that are partial are so in PostgreSQL (`weebill.storage.postgresql.database`).
_RUNNING: Final = EXPERIMENTS.c.state == "running"
Index("running_experiments", EXPERIMENTS.c.model, unique=True, sqlite_where=_RUNNING)


class _UsageKinds(TypedColumns):
    id = Column(Whole, Identity(), primary_key=True)
    key_id = Column(String, nullable=False)
    endpoint = Column(String, nullable=False)
    model_asked = Column(String, nullable=False)
    model_served = Column(String, nullable=False)
    upstream = Column(String, nullable=False)
    stream = Column(Flag, nullable=False)
    measured = Column(Flag, nullable=False)
    status = Column(Whole, nullable=False)
    outcome = Column(String, nullable=False)
    checked = Column(String, nullable=False)
    dropped = Column(String, nullable=False)
    cost_reported = Column(Flag, nullable=False)
    flags = Column(String, nullable=False)
    # Of all columns but the id: an index over them all would have longer rows than PostgreSQL takes.
    fingerprint = Column(Binary, nullable=False, unique=True)


USAGE_KINDS: Final = Table("usage_kinds", LEDGER, _UsageKinds, sqlite_strict=True)
"""Values that thousands of records have in common."""


class _UsageLabels(TypedColumns):
    id = Column(Whole, Identity(), primary_key=True)
    end_user = Column(String, nullable=False)
    tags = Column(String, nullable=False)
    fingerprint = Column(Binary, nullable=False, unique=True)


USAGE_LABELS: Final = Table("usage_labels", LEDGER, _UsageLabels, sqlite_strict=True)
"""Labels that clients give requests: the end user, "" if there is none, and the tags, a JSON object."""
Index("usage_labels_of_user", USAGE_LABELS.c.end_user)


class _UsageEntries(TypedColumns):
    id = Column(Whole, Identity(), primary_key=True)
    kind = Column(Whole, ForeignKey("usage_kinds.id"), nullable=False)
    request_id = Column(String, nullable=False)
    prompt_tokens = Column(Whole, CheckConstraint("prompt_tokens >= 0"), nullable=False)
    cached_tokens = Column(Whole, CheckConstraint("cached_tokens >= 0"), nullable=False)
    completion_tokens = Column(Whole, CheckConstraint("completion_tokens >= 0"), nullable=False)
    started_at = Column(Whole, nullable=False)
    first_byte_us = Column(Whole, nullable=False)
    total_us = Column(Whole, nullable=False)
    cache_write_tokens = Column(Whole, CheckConstraint("cache_write_tokens >= 0"), nullable=False)
    reasoning_tokens = Column(Whole, CheckConstraint("reasoning_tokens >= 0"), nullable=False)
    cost_nano: Named[int | None] = Column(Whole, CheckConstraint("cost_nano >= 0"))
    attempts = Column(String, nullable=False)
    arm = Column(String, nullable=False)
    labels: Named[int | None] = Column(Whole)


USAGE_ENTRIES: Final = Table(
    "usage_entries",
    LEDGER,
    _UsageEntries,
    CheckConstraint(
        "cached_tokens + cache_write_tokens <= prompt_tokens AND reasoning_tokens <= completion_tokens",
        name="a part of its tokens is more than the whole",
    ),
    sqlite_strict=True,
    sqlite_autoincrement=True,  # or ids of deleted rows would be given again
)
_OF_AN_ARM: Final = USAGE_ENTRIES.c.arm != ""
Index("usage_entries_of_arm", USAGE_ENTRIES.c.arm, sqlite_where=_OF_AN_ARM)
_LABELLED: Final = USAGE_ENTRIES.c.labels.is_not(None)
Index("usage_entries_of_labels", USAGE_ENTRIES.c.labels, sqlite_where=_LABELLED)

_ENTRY: Final = [column for column in USAGE_ENTRIES.c if column.name not in ("kind", "labels")]
_KIND: Final = [column for column in USAGE_KINDS.c if column.name not in ("id", "fingerprint")]
_JOINED: Final = USAGE_ENTRIES.join(USAGE_KINDS, USAGE_ENTRIES.c.kind == USAGE_KINDS.c.id).outerjoin(
    USAGE_LABELS, USAGE_ENTRIES.c.labels == USAGE_LABELS.c.id
)
USAGE: Final = CreateView(
    select(*_ENTRY, *_KIND, USAGE_LABELS.c.end_user, USAGE_LABELS.c.tags).select_from(_JOINED), "usage", metadata=LEDGER
).table
"""Whole records. In a file of an earlier release it has those that are kept as they were then, too."""


class _UsageDaily(TypedColumns):
    day = Column(Whole, primary_key=True, autoincrement=False)
    key_id = Column(String, primary_key=True)
    model = Column(String, primary_key=True)
    requests = Column(Whole, nullable=False)
    failures = Column(Whole, nullable=False)
    prompt_tokens = Column(Whole, nullable=False)
    cached_tokens = Column(Whole, nullable=False)
    completion_tokens = Column(Whole, nullable=False)
    cost_nano = Column(Whole, nullable=False)
    unpriced = Column(Whole, nullable=False)


USAGE_DAILY: Final = Table("usage_daily", LEDGER, _UsageDaily, sqlite_strict=True, sqlite_with_rowid=False)
"""Usage by day since 1970 (UTC), key and model."""
Index("usage_daily_of_key", USAGE_DAILY.c.key_id)


class _UsageSeries(TypedColumns):
    id = Column(Whole, Identity(), primary_key=True)
    key_id = Column(String, nullable=False)
    model = Column(String, nullable=False)
    upstream = Column(String, nullable=False)
    endpoint = Column(String, nullable=False)
    fingerprint = Column(Binary, nullable=False, unique=True)


USAGE_SERIES: Final = Table("usage_series", LEDGER, _UsageSeries, sqlite_strict=True)
"""The values that roll-ups are told apart by. Upstream and endpoint are "" where only totals were kept."""
Index("usage_series_of_key", USAGE_SERIES.c.key_id)


class _UsageSums(TypedColumns):
    hours = Column(Whole, primary_key=True, autoincrement=False)
    start = Column(Whole, primary_key=True, autoincrement=False)
    series = Column(Whole, primary_key=True, autoincrement=False)
    requests = Column(Whole, nullable=False)
    failures = Column(Whole, nullable=False)
    prompt_tokens = Column(Whole, nullable=False)
    cached_tokens = Column(Whole, nullable=False)
    completion_tokens = Column(Whole, nullable=False)
    cost_nano = Column(Whole, nullable=False)
    unpriced = Column(Whole, nullable=False)
    rated = Column(Whole, nullable=False, server_default=text("0"))
    score_micro = Column(Whole, nullable=False, server_default=text("0"))


USAGE_SUMS: Final = Table("usage_sums", LEDGER, _UsageSums, sqlite_strict=True, sqlite_with_rowid=False)
"""Usage by hour, by day and by month (UTC): `hours` is 1, 24 or, for months, 744; `start` is the number of hours since
1970 at the beginning. Of the requests, `rated` have a rating, and `score_micro` is the sum of those, in millionths.
"""


class _UsageProjectSeries(TypedColumns):
    id = Column(Whole, Identity(), primary_key=True)
    project_id = Column(String, nullable=False)
    model = Column(String, nullable=False)
    upstream = Column(String, nullable=False)
    endpoint = Column(String, nullable=False)
    fingerprint = Column(Binary, nullable=False, unique=True)


USAGE_PROJECT_SERIES: Final = Table("usage_project_series", LEDGER, _UsageProjectSeries, sqlite_strict=True)
"""As `usage_series`, of all keys of a project; `project_id` is "" for keys that the ledger did not know."""


class _UsageProjectSums(TypedColumns):
    hours = Column(Whole, primary_key=True, autoincrement=False)
    start = Column(Whole, primary_key=True, autoincrement=False)
    project_series = Column(Whole, primary_key=True, autoincrement=False)
    requests = Column(Whole, nullable=False)
    failures = Column(Whole, nullable=False)
    prompt_tokens = Column(Whole, nullable=False)
    cached_tokens = Column(Whole, nullable=False)
    completion_tokens = Column(Whole, nullable=False)
    cost_nano = Column(Whole, nullable=False)
    unpriced = Column(Whole, nullable=False)
    rated = Column(Whole, nullable=False, server_default=text("0"))
    score_micro = Column(Whole, nullable=False, server_default=text("0"))


USAGE_PROJECT_SUMS: Final = Table(
    "usage_project_sums", LEDGER, _UsageProjectSums, sqlite_strict=True, sqlite_with_rowid=False
)
"""As `usage_sums`, and many times fewer: for what tells no keys apart."""


class _UsageLabelSeries(TypedColumns):
    id = Column(Whole, Identity(), primary_key=True)
    name = Column(String, nullable=False)
    value = Column(String, nullable=False)
    series = Column(Whole, ForeignKey("usage_series.id"), nullable=False)
    fingerprint = Column(Binary, nullable=False, unique=True)


USAGE_LABEL_SERIES: Final = Table("usage_label_series", LEDGER, _UsageLabelSeries, sqlite_strict=True)
"""An end user (`name` is "end_user") or a tag ("tag:" and its name), within a series."""
Index("usage_label_series_of_value", USAGE_LABEL_SERIES.c.name, USAGE_LABEL_SERIES.c.value)


class _UsageLabelSums(TypedColumns):
    hours = Column(Whole, primary_key=True, autoincrement=False)
    start = Column(Whole, primary_key=True, autoincrement=False)
    label_series = Column(Whole, primary_key=True, autoincrement=False)
    requests = Column(Whole, nullable=False)
    failures = Column(Whole, nullable=False)
    prompt_tokens = Column(Whole, nullable=False)
    cached_tokens = Column(Whole, nullable=False)
    completion_tokens = Column(Whole, nullable=False)
    cost_nano = Column(Whole, nullable=False)
    unpriced = Column(Whole, nullable=False)
    rated = Column(Whole, nullable=False, server_default=text("0"))
    score_micro = Column(Whole, nullable=False, server_default=text("0"))


USAGE_LABEL_SUMS: Final = Table(
    "usage_label_sums", LEDGER, _UsageLabelSums, sqlite_strict=True, sqlite_with_rowid=False
)
"""As `usage_sums`, of the requests that have an end user or tags: one with both counts in several rows."""
Index("usage_label_sums_of_series", USAGE_LABEL_SUMS.c.label_series)


class _UsageRetention(TypedColumns):
    project_id = Column(String, primary_key=True)
    days = Column(Whole, CheckConstraint("days >= 0"), nullable=False)


USAGE_RETENTION: Final = Table("usage_retention", LEDGER, _UsageRetention, sqlite_strict=True, sqlite_with_rowid=False)
"""For how many days requests of a project are kept; of all others, where the project is ""."""


class _JournalMarks(TypedColumns):
    segment = Column(String, primary_key=True)
    offset = Column(Whole, nullable=False)


JOURNAL_MARKS: Final = Table("journal_marks", LEDGER, _JournalMarks, sqlite_strict=True, sqlite_with_rowid=False)
"""The bytes of each journal segment that are in the ledger."""


class _JournalEnds(TypedColumns):
    segment = Column(String, primary_key=True)
    offset = Column(Whole, nullable=False)
    ended_at = Column(Whole, nullable=False)


JOURNAL_ENDS: Final = Table("journal_ends", LEDGER, _JournalEnds, sqlite_strict=True, sqlite_with_rowid=False)
"""The marks of segments that are gone, for some months: somebody may bring a copy of one."""


class _Quarantine(TypedColumns):
    id = Column(Whole, Identity(), primary_key=True)
    segment = Column(String, nullable=False)
    offset = Column(Whole, nullable=False)
    line = Column(Binary, nullable=False)
    error = Column(String, nullable=False)
    quarantined_at = Column(Whole, nullable=False)


QUARANTINE: Final = Table("quarantine", LEDGER, _Quarantine, sqlite_strict=True)
"""Lines of journals that are no usage records."""
