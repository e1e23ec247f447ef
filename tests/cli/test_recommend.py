"""`weebill recommend`, which measures the real model."""

import json


def test_this_machine_is_measured(weebill, compact_model):
    weebill.env["WEEBILL_LOCAL_MODELS_DIR"] = str(compact_model)
    found = json.loads(weebill.ok("recommend", "--json"))
    assert all(each["tokens_per_s"] > 0 and each["memory"] > 0 for each in found)
    assert sum(each["recommended"] for each in found) <= 1
    refused = weebill("recommend", "--latency", "soon")
    assert (refused.returncode, "such as 200ms" in refused.stderr) == (1, True)
    assert "one of chat, code" in weebill("recommend", "--task", "cooking").stderr
