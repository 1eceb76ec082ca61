"""Calls of tables that are refused."""

from refusals import bad_calls
from small_parts import ROWS

import tfp_flows as tff

FRAME = {"a": ROWS[:, 0], "b": ROWS[:, 1]}


def columns():
    return tff.describe_columns(FRAME)


BAD_CALLS = [
    (lambda: tff.TableDensity(None), "`columns` | describe_columns | None"),
    (lambda: tff.TableDensity(columns(), context=["c"]), "`context` | ['a', 'b'] | ['c']"),
    (lambda: tff.TableDensity(columns(), context=["a", "a"]), "`context` | ['a', 'a']"),
    (lambda: tff.TableDensity(columns(), context=["a", "b"]), "beside those of `context`"),
    (
        lambda: tff.TableDensity(columns(), missing="drop"),
        "`missing` | 'indicator' | 'drop'",
    ),
    (lambda: tff.TableDensity(columns(), num_members=0), "`num_members` | 0"),
    (lambda: tff.TableDensity(columns(), num_bins=1), "`num_bins` | 1"),
    (lambda: tff.TableDensity(columns(), dropout=1.0), "`dropout` | 1.0"),
    (lambda: tff.TableDensity(columns(), hidden_units=(4, 8)), "`hidden_units` | 8"),
    (lambda: tff.TableDensity(columns(), seed=-1), "`seed` | -1"),
    (lambda: tff.TableDensity(columns()).log_prob(FRAME), "fitted | call `fit`"),
    (lambda: tff.TableDensity(columns()).fit(FRAME, epochs=0), "`epochs` | 0"),
    (
        lambda: tff.TableDensity(columns()).fit(FRAME, validation_split=1.0),
        "`validation_split` | 1.0",
    ),
    (lambda: tff.TableDensity(columns()).fit({"a": FRAME["a"]}), "lacks ['b']"),
    (lambda: tff.TableDensity(columns()).fit("rows"), "`frame` | str"),
    (
        lambda: tff.TableDensity(columns()).fit({"a": FRAME["a"][:1], "b": FRAME["b"][:1]}),
        "`frame` | 1 in all",
    ),
    (
        lambda: tff.TableDensity(columns().select(["a"]), context="a"),
        "beside those of `context`",
    ),
    (
        lambda: tff.tables.TableColumns(
            [tff.tables.Column("a", "real"), tff.tables.Column("a", "real")]
        ),
        "different names | 'a', 'a'",
    ),
    (
        lambda: tff.tables.TableColumns([tff.tables.Column("a", "bounded", low=0.0)]),
        "`low` and `high` | 'a'",
    ),
    (lambda: tff.describe_columns("rows"), "`frame` | str"),
    (lambda: tff.describe_columns({"a": [1.0]}, names=["b"]), "['b'] | ['a']"),
]


@bad_calls(BAD_CALLS)
def test_bad_call_is_refused_in_words(call, words, check_refused):
    check_refused(call, words)
