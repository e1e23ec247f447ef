from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from weebill.telemetry import layout, metrics
from weebill.telemetry.counters import Counters
from weebill.telemetry.exposition import expose, read_totals, render

WORKER = """
import os, signal, sys
from pathlib import Path
from weebill.telemetry.counters import Counters
counters = Counters(Path(sys.argv[1]), int(sys.argv[2]))
for number in range(int(sys.argv[3])):
    counters.requests.add(("chat", "200"))
    counters.tokens.add((f"model-{sys.argv[2]}", "prompt"), 5)
    counters.request_seconds.observe(("chat",), 3_000)
counters.in_flight.set(7)
print("done", flush=True)
sys.stdin.readline()
os.kill(os.getpid(), signal.SIGKILL)
"""


def scrape(folder: Path) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """What Prometheus's own parser makes of the text."""
    text = render(read_totals(folder), {}).decode()
    samples: list[Sample] = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    found = {(sample.name, tuple(sorted(sample.labels.items()))): float(sample.value) for sample in samples}
    assert len(found) == len(samples), "a series appears twice"
    return found


def start_worker(folder: Path, index: int, count: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(folder), str(index), str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "done\n"
    return process


def test_workers_are_summed_and_the_dead_go_on_counting(tmp_path: Path) -> None:
    workers = [start_worker(tmp_path, 0, 100), start_worker(tmp_path, 1, 50)]
    chat = (("endpoint", "chat"),)
    before = scrape(tmp_path)
    assert before["weebill_requests_total", (("endpoint", "chat"), ("status", "200"))] == 150
    assert before["weebill_tokens_total", (("kind", "prompt"), ("model", "model-1"))] == 250
    assert before["weebill_request_seconds_bucket", (*chat, ("le", "0.0025"))] == 0
    assert before["weebill_request_seconds_bucket", (*chat, ("le", "0.005"))] == 150
    assert before["weebill_request_seconds_bucket", (*chat, ("le", "+Inf"))] == 150
    assert before["weebill_request_seconds_count", chat] == 150
    assert before["weebill_request_seconds_sum", chat] == pytest.approx(0.45)
    assert before["weebill_in_flight", (("worker", "0"),)] == 7
    assert before["weebill_in_flight", (("worker", "1"),)] == 7

    workers[1].communicate("die\n")
    after = scrape(tmp_path)
    assert after["weebill_requests_total", (("endpoint", "chat"), ("status", "200"))] == 150
    assert ("weebill_in_flight", (("worker", "1"),)) not in after

    successor = start_worker(tmp_path, 1, 25)
    last = scrape(tmp_path)
    assert last["weebill_requests_total", (("endpoint", "chat"), ("status", "200"))] == 175
    assert last["weebill_in_flight", (("worker", "1"),)] == 7
    for process in (workers[0], successor):
        process.communicate("die\n")


def test_every_declared_metric_is_exposed(tmp_path: Path) -> None:
    counters = Counters(tmp_path, 0)
    counters.requests.add(("chat", "200"))
    counters.request_seconds.observe(("chat",), 10)
    counters.first_byte_seconds.observe(("chat",), 10)
    counters.loop_lag.observe(("own",), 10)
    counters.loop_lag_longest.set(("own",), 10)
    counters.tokens.add(("tiny", "cached"), 3)
    counters.upstream_requests.add(("local", "ok"))
    counters.auth_failures.add()
    counters.journal_failures.add()
    counters.refused_keys.set(("acme",), 1)
    counters.auto_threshold.set(("auto", "share"), 500_000)
    journal = tmp_path / "journal"
    journal.mkdir()
    (journal / "1.jsonl").write_bytes(b"123456789012")
    text = expose(tmp_path, journal).decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    declared = {metric.name.removesuffix("_total"): metric for metric in metrics.METRICS}
    assert set(families) == {*declared, "weebill_journal_bytes"}
    for name, metric in declared.items():
        assert (families[name].type, families[name].documentation) == (metric.kind, metric.help)
        assert families[name].samples
    assert families["weebill_journal_bytes"].samples[0].value == 12
    assert text.endswith("\n")


def test_buckets_include_their_bound(tmp_path: Path) -> None:
    counters = Counters(tmp_path, 0)
    for bound in metrics.DURATION_BOUNDS_US:
        counters.request_seconds.observe(("chat",), bound)
        counters.request_seconds.observe(("chat",), bound + 1)
    found = scrape(tmp_path)
    for number, bound in enumerate(metrics.DURATION_BOUNDS_US):
        labels = (("endpoint", "chat"), ("le", f"{bound / 1e6:g}"))
        assert found["weebill_request_seconds_bucket", labels] == 2 * number + 1


def test_label_values_beyond_the_room_are_other(tmp_path: Path) -> None:
    counters = Counters(tmp_path, 0)
    for number in range(1000):
        counters.upstream_requests.add((f"upstream-{number}", "ok"))
    counters.upstream_requests.add(("x" * 255, "ok"))
    assert len(counters.upstream_requests._found) <= 4 * metrics.UPSTREAM_REQUESTS.cells
    reopened = Counters(tmp_path, 0)
    reopened.upstream_requests.add(("upstream-7", "ok"))
    reopened.upstream_requests.add(("late", "ok"))
    series = read_totals(tmp_path)["weebill_upstream_requests_total"]
    assert len(series) == metrics.UPSTREAM.room + 1
    assert series["upstream-7", "ok"] == (2,)
    assert series["other", "ok"] == (1000 - metrics.UPSTREAM.room + 2,)


def test_any_text_may_be_a_label_value(tmp_path: Path) -> None:
    counters = Counters(tmp_path, 0)
    names = ['quo"te', "back\\slash", "new\nline", "größe/模型", "a b,c{}=", ""]
    for name in names:
        counters.tokens.add((name, "prompt"), 2)
    found = scrape(tmp_path)
    for name in names[:-1]:
        assert found["weebill_tokens_total", (("kind", "prompt"), ("model", name))] == 2
    assert found["weebill_tokens_total", (("kind", "prompt"), ("model", "other"))] == 2


def test_a_closed_set_of_values_is_closed(tmp_path: Path) -> None:
    counters = Counters(tmp_path, 0)
    with pytest.raises(ValueError, match="prompt, cached, completion"):
        counters.tokens.add(("tiny", "prompts"))


def test_metrics_do_not_share_cells(tmp_path: Path) -> None:
    """Each cell of the file belongs to exactly one series of one metric."""
    owners: dict[int, str] = {}
    names = {label.name: [*label.values, *map(str, range(label.room))] for label in metrics.LABELS}
    for metric in metrics.METRICS:
        for labels, first in layout.series(metric, names):
            for cell in range(first, first + metric.width):
                assert cell not in owners, (owners[cell], metric.name, labels)
                owners[cell] = f"{metric.name}{labels}"
    assert sorted(owners) == list(range(layout.CELL_COUNT))


def test_a_file_of_another_release_is_replaced_and_not_read(tmp_path: Path) -> None:
    path = tmp_path / layout.file_name(0)
    path.write_bytes(b"WBCOUNT0 something else")
    (tmp_path / layout.file_name(1)).write_bytes(b"")
    assert read_totals(tmp_path)["weebill_requests_total"] == {}
    with path.open("rb") as mapped_elsewhere:
        Counters(tmp_path, 0).requests.add(("chat", "200"))
        assert mapped_elsewhere.read() == b"WBCOUNT0 something else"
    assert read_totals(tmp_path)["weebill_requests_total"] == {("chat", "200"): (1,)}


def test_gauges_are_the_living_owners(tmp_path: Path) -> None:
    counters = Counters(tmp_path, 0)
    counters.connections.set(9)
    counters.in_flight.set(1)
    counters.in_flight.set(0)
    totals = read_totals(tmp_path)
    assert totals["weebill_connections"] == {("0",): (9,)}
    assert totals["weebill_in_flight"] == {("0",): (0,)}
    assert layout.read_owner((tmp_path / layout.file_name(0)).read_bytes()) == os.getpid()
    counters.close()
    assert read_totals(tmp_path)["weebill_connections"] == {}
    Counters(tmp_path, 0)
    assert read_totals(tmp_path)["weebill_connections"] == {("0",): (0,)}


def test_a_gauge_with_labels_is_shown_while_it_is_not_nothing(tmp_path: Path) -> None:
    counters = Counters(tmp_path, 3)
    counters.refused_keys.set(("acme",), 2)
    counters.refused_keys.set(("other",), 1)
    counters.refused_keys.set(("other",), 0)
    assert read_totals(tmp_path)["weebill_refused_keys"] == {("3", "acme"): (2,)}
    assert b'weebill_refused_keys{worker="3",upstream="acme"} 2\n' in expose(tmp_path, tmp_path)
    # Whoever takes over knows nothing yet.
    Counters(tmp_path, 3)
    assert b"weebill_refused_keys{" not in expose(tmp_path, tmp_path)


def test_requests_are_written_once_a_turn(tmp_path: Path) -> None:
    turn: list[Callable[[], None]] = []
    counters = Counters(tmp_path, 0, turn.append)
    requests = ("weebill_requests_total", (("endpoint", "chat"), ("status", "200")))
    for total_us in (500, 5_000, 50_000):
        counters.of_request("chat", 200, "acme", "ok", "tiny").count(total_us, 400, 10, 4, 2)
    counters.of_request("chat", 400, "", "rejected", "").count(100, 0, 0, 0, 0)
    assert scrape(tmp_path).get(requests, 0) == 0
    [write] = turn
    write()
    found = scrape(tmp_path)
    assert found[requests] == 3
    assert found["weebill_requests_total", (("endpoint", "chat"), ("status", "400"))] == 1
    assert found["weebill_request_seconds_count", (("endpoint", "chat"),)] == 4
    assert found["weebill_request_seconds_sum", (("endpoint", "chat"),)] == pytest.approx(0.0556)
    assert found["weebill_first_byte_seconds_count", (("endpoint", "chat"),)] == 3
    assert found["weebill_tokens_total", (("kind", "prompt"), ("model", "tiny"))] == 30
    assert found["weebill_tokens_total", (("kind", "cached"), ("model", "tiny"))] == 12
    assert found["weebill_tokens_total", (("kind", "completion"), ("model", "tiny"))] == 6
    counters.of_request("chat", 200, "acme", "ok", "tiny").count(500, 0, 0, 0, 0)
    assert len(turn) == 2
    counters.close()  # what the turn has not come to write
    assert scrape(tmp_path)[requests] == 4
