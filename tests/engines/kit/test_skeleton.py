"""Texts of one skeleton key have one shape, whatever stands in them, in every dialect."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from querykeep_engines import registry
from querykeep_engines.kit.skeleton import Key, Skeletons
from querykeep_guard.sql.facts import SessionContext

CONTEXTS = {
    "postgresql": SessionContext(
        "postgresql",
        "postgresql",
        "15",
        "shop",
        ("public",),
        (("standard_conforming_strings", "on"),),
    ),
    "mysql": SessionContext(
        "mysql",
        "mariadb",
        "10.11.6-MariaDB",
        "shop",
        settings=(("sql_mode", "STRICT_TRANS_TABLES"),),
    ),
}
VOCABULARY = """
SELECT FROM WHERE HAVING LIMIT OFFSET ORDER BY GROUP IN LIKE AND OR SET VALUES INSERT INTO UPDATE
DELETE WITH AS t a b1 x.y t1.c , ( ) = < >= - + * / . ; :: E N _utf8 1e5 1.5 0x1F 12abc b'01' x'4F'
E'a\\'b' "q" `q` -- /* */ # \\ @v $1 $$ 'it''s' '' ' ? 한 '한' U&'d' \n || -> [ ] { }
"""
WORDS = VOCABULARY.split()
VALUES = st.one_of(
    st.integers(0, 10**19).map(str),
    st.text("ab '\"\\-/*#é1\n", max_size=40).map(lambda text: f"'{text}'"),
    st.sampled_from(["'a'", "'b'", "''", "1", "2", "007"]),
)
PIECES = st.one_of(st.sampled_from(WORDS), VALUES)


def skeletons(engine: str) -> Skeletons:
    shape = registry.engine(engine).analyzer().shape
    return Skeletons(lambda text: shape(text, CONTEXTS[engine]))


def learnt(known: Skeletons, text: str) -> Key | None:
    """Ask twice: a skeleton is learnt when it comes again."""
    known.key(text)
    return known.key(text)


def test_nothing_is_asked_of_a_text_that_comes_once() -> None:
    asked: list[str] = []

    def shape(text: str) -> str:
        asked.append(text)
        return "shape"

    known = Skeletons(shape)
    assert known.key("SELECT a FROM t WHERE b = 17") is None
    assert asked == []
    assert known.key("SELECT a FROM t WHERE b = 18") is not None
    assert len(asked) == 2


@pytest.mark.parametrize("engine", CONTEXTS)
def test_one_key_for_literals_that_decide_nothing(engine: str) -> None:
    known = skeletons(engine)
    one = learnt(known, "SELECT a, 1 FROM t WHERE b = 17 AND c = 'x' LIMIT 5")
    assert one is not None
    assert one == learnt(known, "SELECT a, 1 FROM t WHERE b = 2 AND c = 'another one' LIMIT 500")
    assert one != learnt(known, "SELECT a, 2 FROM t WHERE b = 17 AND c = 'x' LIMIT 5")
    assert one != learnt(known, "SELECT a, 1 FROM t WHERE b = '17' AND c = 'x' LIMIT 5")


@pytest.mark.parametrize(
    "text",
    [
        "SELECT a FROM t WHERE b = 1 -- 'c'",
        "SELECT a FROM t WHERE b = 1 /* 'c' */",
        "SELECT a FROM t WHERE b = E'x\\'1'",
        "SELECT a FROM t WHERE b = $$ ' $$ AND c = 1",
        'SELECT "1" FROM t WHERE b = 1',
        "SELECT `1` FROM t WHERE b = 1",
        "SELECT a FROM t WHERE b = 'it''s'",
        "SELECT a FROM t WHERE b = '한'",
        "SELECT a FROM t WHERE b = 1 # 'c'",
    ],
)
@pytest.mark.parametrize("engine", CONTEXTS)
def test_no_key_where_something_could_hide_a_quote(engine: str, text: str) -> None:
    assert learnt(skeletons(engine), text) is None


@pytest.mark.parametrize("engine", CONTEXTS)
@settings(max_examples=400, deadline=None)
@given(st.data())
def test_equal_keys_mean_equal_shapes(engine: str, data: st.DataObject) -> None:
    """Two texts that differ in values only, any values: what is learned from one is asked of the
    other, both ways."""
    pieces = data.draw(st.lists(PIECES, min_size=1, max_size=14))
    glue = data.draw(st.lists(st.sampled_from([" ", " ", " ", "", "\n"]), min_size=14, max_size=14))
    head = data.draw(st.sampled_from(["SELECT a FROM t WHERE b = ", "DELETE FROM t WHERE ", ""]))
    other = [
        data.draw(VALUES) if piece[0] in "'0123456789" and data.draw(st.booleans()) else piece
        for piece in pieces
    ]
    one, two = (
        head + "".join(a + b for a, b in zip(parts, glue, strict=False))
        for parts in (pieces, other)
    )
    shape = registry.engine(engine).analyzer().shape
    for first, second in ((one, two), (two, one)):
        known = skeletons(engine)
        key = learnt(known, first)
        if key is not None and key == learnt(known, second):
            assert shape(first, CONTEXTS[engine]) == shape(second, CONTEXTS[engine]) is not None
