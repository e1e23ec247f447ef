import tomllib

from hypothesis import given
from hypothesis import strategies as st

from weebill.config.toml_lines import key_lines

DOCUMENT = """
# [not.a.table]
top = 1
[server]
port = 80  # port = 81
"quoted key" = "x = y"
a.b = 2
inline = { x = 1 }
[ providers . "my co" ]  # comment
base_url = 'http://[::1]/'
[[things]]
n = 1
[[things]]
n = 2
models = [
    "a = b",
]
"""


def test_lines_of_tables_and_keys():
    tomllib.loads(DOCUMENT)
    assert key_lines(DOCUMENT) == {
        ("top",): 3,
        ("server",): 4,
        ("server", "port"): 5,
        ("server", "quoted key"): 6,
        ("server", "a"): 7,
        ("server", "a", "b"): 7,
        ("server", "inline"): 8,
        ("providers", "my co"): 9,
        ("providers", "my co", "base_url"): 10,
        ("things",): 11,
        ("things", "n"): 12,
        ("things", "models"): 15,
    }


@given(st.text(alphabet=st.sampled_from("ab[]\"'=. #\\\n{}1")))
def test_no_text_breaks_it(text):
    key_lines(text)
