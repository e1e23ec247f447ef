"""`weebill route explain`: the plan of a request that is not sent."""

import json

import pytest

CONFIGURED = """
[providers.acme]
base_url = "http://127.0.0.1:9/v1"
models = ["big"]
weight = 3
[providers.zeta]
base_url = "http://127.0.0.1:9/v1"
models = ["big"]
zero_retention = true
tier = 1
[routing.keys.batch]
only = ["zeta"]
"""
ASKED = {"model": "big", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture
def explain(weebill, tmp_path):
    weebill.home.config_file.write_text(CONFIGURED)
    request = tmp_path / "request.json"

    def explained(asked, *options, command=weebill.ok):
        request.write_text(json.dumps(asked))
        return command(*([] if command == weebill.ok else [1]), "route", "explain", str(request), *options)

    return explained


def test_the_table_says_who_and_why(explain):
    title, head, *rows = explain(ASKED).splitlines()
    assert title == "big, by price"
    assert head.split() == ["TURN", "DEPLOYMENT", "TIER", "SCORE", "DROPS", "WHY"]
    first, second = (row.split() for row in rows)
    assert first[:3] == ["1", "acme/big", "0"]
    assert second[:3] == ["2", "zeta/big", "1"]
    assert first[4:] == second[4:] == ["-", "kept"]


def test_what_a_target_would_not_be_told_is_named(explain, weebill):
    anthropic = '[providers.ant]\ndialect = "anthropic"\nbase_url = "http://127.0.0.1:9"\nmodels = ["claude"]\n'
    weebill.home.config_file.write_text(CONFIGURED + anthropic)
    asked = {**ASKED, "model": "claude", "seed": 1, "user": "u", "logit_bias": {"1": 1}}
    assert "refused: 'claude' at 'ant' does not support logit_bias" in " ".join(explain(asked).split())
    del asked["logit_bias"]
    _, _, row = explain(asked).splitlines()
    assert row.split()[4:] == ["seed", "kept"]
    [choice] = json.loads(explain(asked, "--json"))["choices"]
    assert (choice["dropped"], choice["refused"]) == (["seed"], None)


def test_what_removed_whom_is_named(explain):
    _, _, first, second = explain({**ASKED, "provider": {"zdr": True}}).splitlines()
    assert first.split()[:2] == ["1", "zeta/big"]
    assert second.split()[:2] == ["-", "acme/big"]
    assert second.endswith("stores requests, as far as is known (provider.zdr)")


def test_json_and_keys(explain):
    plan = json.loads(explain(ASKED, "--key", "batch", "--json"))
    assert [each["deployment"] for each in plan["choices"]] == ["zeta/big"]
    assert plan["removed"] == [
        {
            "deployment": "acme/big", "filter": "only", "param": "provider.only", "reason": "is not among them",
        }
    ]  # fmt: skip


def test_a_seed_gives_the_same_lots(explain):
    asked = {**ASKED, "provider": {"only": ["acme"]}}
    assert explain(asked, "--seed", "4", "--json") == explain(asked, "--seed", "4", "--json")


def test_what_cannot_be_routed_is_an_error(explain, weebill):
    failed = explain({**ASKED, "provider": {"local_only": True}}, command=weebill.fails)
    assert "acme/big is not on this machine" in failed
    assert "(provider.local_only)" in failed
    assert "provider.colour" in explain({**ASKED, "provider": {"colour": 1}}, command=weebill.fails)
    assert "request.json: No such file" in weebill.fails(1, "route", "explain", "request.json")


def test_a_request_may_come_from_a_pipe(explain, weebill):
    assert "acme/big" in weebill.ok("route", "explain", "-", stdin=json.dumps(ASKED))


def test_the_models_of_this_machine_are_taken_to_be_up(explain):
    _, _, only = explain({**ASKED, "model": "mini", "provider": {"local_only": True}}).splitlines()
    turn, deployment, tier, _, _, why = only.split()
    assert (turn, deployment, tier, why) == ("1", "local/smollm2:135m", "0", "kept")


def test_a_pattern_is_named(explain, weebill):
    weebill.home.config_file.write_text(weebill.home.config_file.read_text() + '[aliases]\n"claude-*[1m]" = "big"\n')
    asked = {**ASKED, "model": "claude-x[1m]"}
    assert explain(asked).splitlines()[0] == "claude-x[1m] matches the alias claude-*[1m]: big"
    assert json.loads(explain(asked, "--json"))["alias"] == "claude-*[1m]"


AUTO = """
[auto]
small = "acme/big"
large = "zeta/big"
target = { share = 0.0 }

[[auto.high_stakes]]
regex = "lawsuit"

[[auto.private]]
regex = "IBAN"
"""


def test_auto_says_why(explain, weebill):
    weebill.home.config_file.write_text(weebill.home.config_file.read_text() + AUTO)
    text = explain({**ASKED, "model": "auto"})
    assert "auto chooses small (acme/big): gain 0." in text
    assert "expected to answer well: compact 0." in text
    assert "an answer that fails a check is made anew by zeta/big" in text
    sued = {**ASKED, "model": "auto", "messages": [{"role": "user", "content": "A lawsuit"}]}
    assert "auto chooses large (zeta/big): high_stakes[1]" in explain(sued)
    described = json.loads(explain(sued, "--json"))
    assert (described["auto"]["tier"], described["auto"]["chances"], described["experiment"]) == ("large", None, None)
    private = {**sued, "messages": [{"role": "user", "content": "My IBAN"}]}
    assert "local_only" in explain(private, command=weebill.fails)


def test_an_experiment_is_told(explain, weebill):
    weebill.ok("experiment", "create", "cheaper", "--model", "zeta/big", "--candidate", "acme/big", "--share", "1")
    asked = {**ASKED, "model": "zeta/big"}
    assert "of the experiment cheaper/candidate: zeta/big is acme/big" in explain(asked)
    weebill.ok("experiment", "promote", "cheaper")
    assert "zeta/big is acme/big, which was promoted" in explain(asked)
