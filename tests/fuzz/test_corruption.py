"""Whatever prompts and responses say, a corrupted response has text, differs, and can be written."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from mutation import fuzzed

from clues.data.records.values import text_flaw
from clues.lab.corruption import NATURAL, Corruption, corrupt
from multilingual import TEXTS, sample

WORDS = sorted({word for pairs in TEXTS.values() for pair in pairs for text in pair for word in text.split()})
PIECES = st.sampled_from([*WORDS, "'", '"', "«", "“", " ", "\n", ".", "。", "{prompt}", "\\1", "&", "0", "½", "İ", "ß"])
TEXT = st.one_of(st.lists(PIECES, max_size=12).map(" ".join), st.text(max_size=30)).filter(
    lambda text: text.strip() and not text_flaw(text)
)


KINDS = st.lists(st.sampled_from(NATURAL), max_size=4, unique=True)


@fuzzed
@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4), KINDS, st.floats(0.01, 1))
def test_every_text_can_be_corrupted(pairs, kinds, severity):
    clean = [sample(str(n), *pair) for n, pair in enumerate(pairs)]
    records, labels = corrupt(clean, Corruption([*kinds, "refusal", "evasive"], severity), share=0.7, seed=1)
    for before, record, label in zip(clean, records, labels, strict=True):
        assert record["id"] == before.id
        assert record["response"].strip()
        assert not text_flaw(record["response"])
        assert (label["quality"] == "low") == (record["response"] != before.response)
