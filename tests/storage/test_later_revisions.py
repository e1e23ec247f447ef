"""PostgreSQL ledgers of earlier releases are brought up to date, and replicas of those releases go on beside it.

On SQLite, all revisions are run by what is taken over in `test_upgrading.py`.
"""

from __future__ import annotations

from typing import Final

import pytest

from tests.fixtures.databases import execute, rows
from tests.storage.test_upgrading import differences, touch
from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings
from weebill.storage.audit import check
from weebill.storage.database import Database
from weebill.storage.opening import open_ledger
from weebill.storage.schema import LEDGER

# What makes a ledger of today into one of the release before the revision.
CREDITS: Final = (
    *("credit_entries", "credit_lots", "credit_transactions", "credit_standings", "credit_usage", "credit_rates"),
    *("credit_checkouts", "stripe_events", "webhook_deliveries"),
)
UNDONE: Final = {
    "0010": (
        *(f"ALTER TABLE api_keys DROP COLUMN {name}" for name in ("service_account_id", "user_id", "project_id")),
        *(f"DROP TABLE {name}" for name in ("service_accounts", "memberships", "users", "projects", "organisations")),
    ),
    "0011": (
        "DROP VIEW usage",
        *(f"DROP TABLE {name}" for name in ("usage_label_sums", "usage_label_series", "usage_sums", "usage_series")),
        "DROP INDEX usage_entries_of_labels",
        "ALTER TABLE usage_entries DROP COLUMN labels",
        "DROP TABLE usage_labels",
        "CREATE VIEW usage AS SELECT entry.id, started_at, key_id, model_served, upstream, endpoint, prompt_tokens, "
        "cached_tokens, completion_tokens, cost_nano, outcome FROM usage_entries AS entry "
        "JOIN usage_kinds AS kind ON kind.id = entry.kind",
    ),
    "0012": ("ALTER TABLE installation DROP COLUMN sealed_with",),
    "0013": tuple(f"DROP TABLE {name}" for name in CREDITS),
    "0014": ("DROP TABLE usage_retention",),
    "0015": (
        *(f"DROP TABLE {name}" for name in ("leases", "allowances", "limits")),
        "DELETE FROM meta WHERE name = 'allowances_version'",
    ),
    "0016": ("DROP TABLE credit_stops",),
    "0017": ("DROP TABLE provider_keys", "DELETE FROM meta WHERE name = 'provider_keys_version'"),
    "0018": (
        "DROP TABLE audit_log",
        "DROP INDEX api_keys_by_making",
        "DELETE FROM meta WHERE name = 'audit_rows'",
    ),
    "0019": tuple(
        f"DROP TABLE {name}" for name in ("mails", "tickets", "sessions", "identities", "recovery_codes", "credentials")
    ),
    "0020": tuple(f"DELETE FROM {name} WHERE hours = 744" for name in ("usage_sums", "usage_label_sums")),
    "0021": tuple(
        f"ALTER TABLE {name} DROP COLUMN made_in" for name in ("organisations", "projects", "users", "service_accounts")
    ),
    "0022": ("DROP TABLE borrowers",),
    "0023": tuple(f"ALTER TABLE {name} DROP COLUMN mail" for name in ("credit_standings", "webhook_deliveries")),
    "0024": ("DROP TABLE usage_project_sums", "DROP TABLE usage_project_series"),
    "0026": tuple(f"ALTER TABLE credit_checkouts DROP COLUMN {name}" for name in ("refunding_nano", "refunding_at")),
    "0027": (
        *(f"DROP TABLE {name}" for name in ("usage_ratings", "usage_ratings_waiting")),
        *(
            f"ALTER TABLE {table} DROP COLUMN {name}"
            for table in ("usage_sums", "usage_project_sums", "usage_label_sums")
            for name in ("rated", "score_micro")
        ),
    ),
    "0028": (),  # of SQLite alone
    "0025": ("DROP TABLE journal_ends", "ALTER TABLE borrowers DROP COLUMN account"),
}


def go_back(ledger: Database, before: str) -> None:
    for revision in sorted(UNDONE, reverse=True):
        if revision >= before:
            for statement in UNDONE[revision]:
                execute(ledger, statement)
    execute(ledger, f"UPDATE ledger_revision SET version_num = '{int(before) - 1:04}'")


def make_key(ledger: Database, name: str) -> None:
    """Make a key as a release does that knows no projects."""
    scopes = "networks, models, endpoints, local_only, preferences"
    execute(
        ledger,
        f"INSERT INTO api_keys (id, name, role, hint, digest, created_at, made_in, changed_in, {scopes}) "
        f"VALUES ('{name}', '{name}', 'user', 'sk', sha256('{name}'), 1, 1, 1, '[]', '[]', '[]', false, '{{}}')",
    )


# From the release before the first of them, all are run.
REVISIONS: Final = [
    pytest.param(each, marks=() if each in (min(UNDONE), max(UNDONE)) else pytest.mark.slow) for each in sorted(UNDONE)
]


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_ledger_of_the_release_before_is_brought_up_to_date(home: Home, postgres: str, revision: str) -> None:
    settings = DatabaseSettings(url=postgres)
    with open_ledger(home, settings) as earlier, open_ledger(home, settings) as later:
        touch(earlier)
        go_back(earlier, revision)
        make_key(earlier, "key_1")
        touch(later)
        assert later.read(differences) == []
        make_key(earlier, "key_2")  # by a replica of that release, which is at work yet
        found = rows(later, "SELECT id, project_id, user_id FROM api_keys ORDER BY id")
        assert found == [("key_1", "proj_default", None), ("key_2", "proj_default", None)]
        noted = (1, "ledger.upgraded", f'{{"schema":"{int(revision) - 1:04}"}}')
        assert rows(later, "SELECT id, action, before FROM audit_log") == [noted]
        assert check(later).rows == 1
        assert rows(later, "SELECT id, organisation_id FROM projects") == [("proj_default", "org_default")]
        assert rows(later, "SELECT id, archived_at FROM organisations") == [("org_default", None)]


def test_every_later_revision_is_tried() -> None:
    assert sorted(UNDONE) == [f"{number:04}" for number in range(10, int(LEDGER.newest) + 1)]
