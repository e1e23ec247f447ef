"""Loads are read from metrics as vLLM and SGLang write them, and from nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weebill.catalog.load import providers
from weebill.discovery.metrics import load_of
from weebill.routing.servers import Load

VLLM, SGLANG = (providers()[name].server for name in ("vllm", "sglang"))
assert VLLM is not None
assert SGLANG is not None

# As `prometheus_client` writes what vLLM registers, with histograms and other metrics around it.
OF_VLLM = """\
# HELP python_gc_objects_collected_total Objects collected during gc
# TYPE python_gc_objects_collected_total counter
python_gc_objects_collected_total{generation="0"} 12345.0
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="Qwen/Qwen3-8B"} 12.0
vllm:num_requests_running{engine="1",model_name="Qwen/Qwen3-8B"} 3.0
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="Qwen/Qwen3-8B"} 7.0
vllm:num_requests_waiting{engine="1",model_name="Qwen/Qwen3-8B"} 0.0
# TYPE vllm:num_requests_waiting_by_reason gauge
vllm:num_requests_waiting_by_reason{engine="0",model_name="Qwen/Qwen3-8B",reason="capacity"} 99.0
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="Qwen/Qwen3-8B"} 0.5
vllm:kv_cache_usage_perc{engine="1",model_name="Qwen/Qwen3-8B"} 0.25
# TYPE vllm:e2e_request_latency_seconds histogram
vllm:e2e_request_latency_seconds_bucket{engine="0",le="0.3",model_name="Qwen/Qwen3-8B"} 1.0
"""
# Each rank of one engine repeats its figures.
OF_SGLANG = """\
# TYPE sglang:num_running_reqs gauge
sglang:num_running_reqs{engine_type="unified",model_name="m",pp_rank="0",tp_rank="0"} 4.0
sglang:num_running_reqs{engine_type="unified",model_name="m",pp_rank="0",tp_rank="1"} 4.0
sglang:num_queue_reqs{engine_type="unified",model_name="m",pp_rank="0",tp_rank="0"} 2.0
sglang:num_queue_reqs{engine_type="unified",model_name="m",pp_rank="0",tp_rank="1"} 2.0
sglang:token_usage{engine_type="unified",model_name="m",pp_rank="0",tp_rank="0"} 0.125
"""


def test_engines_of_vllm_are_added_up_and_their_caches_averaged() -> None:
    assert load_of(OF_VLLM, VLLM) == Load(15, 7, 0.375)


def test_ranks_of_one_engine_of_sglang_count_once() -> None:
    assert load_of(OF_SGLANG, SGLANG) == Load(4, 2, 0.125)


def test_an_older_vllm_names_its_cache_otherwise() -> None:
    assert load_of(OF_VLLM.replace("kv_cache_usage", "gpu_cache_usage"), VLLM) == Load(15, 7, 0.375)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>no metrics</html>",
        OF_SGLANG,
        "vllm:num_requests_running 1\n",
        "vllm:num_requests_running NaN\nvllm:num_requests_waiting 1\n",
        'vllm:num_requests_running{a="b 1\nvllm:num_requests_waiting 1\n',
        "vllm:num_requests_running one\nvllm:num_requests_waiting 1\n",
    ],
)
def test_without_both_counts_the_load_is_unknown(text: str) -> None:
    assert load_of(text, VLLM) is None


def test_odd_labels_timestamps_and_values_are_read_as_the_format_has_them() -> None:
    text = (
        'vllm:num_requests_running{model_name="a \\"b\\" {c} 7",engine="0"} 2 1700000000000\n'
        "vllm:num_requests_waiting -3\n"
        "vllm:kv_cache_usage_perc 1.5e1\n"
    )
    assert load_of(text, VLLM) == Load(2, 0, 1.0)


@given(st.text(alphabet=st.sampled_from('vllm:num_requests_running waiting{}="\\ \n019.e-+NaInf'), max_size=400))
def test_no_text_breaks_the_reader(text: str) -> None:
    found = load_of("vllm:num_requests_waiting 1\nvllm:num_requests_running 1\n" + text, VLLM)
    assert found is not None
    assert found.running >= 0 <= found.waiting


def test_long_garbage_is_passed_over_in_linear_time() -> None:
    # A value's quotes that are never closed, in a text as long as is read at all.
    line = 'vllm:num_requests_running{a="' + "\\" * 200_000
    assert load_of(f"{line}\n{OF_VLLM}", VLLM) == Load(15, 7, 0.375)
