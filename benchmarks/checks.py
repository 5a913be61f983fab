"""How well the checks find what they are for, how often they are wrong, and what they cost.

    python benchmarks/checks.py FILE ...               # on copies of clean files, damaged by `clues corrupt`
    python benchmarks/checks.py --labelled FILE ...    # on files whose records say `quality`: good or low
    python benchmarks/checks.py --copies FILE ...      # on edited copies of samples
    python benchmarks/checks.py --cost 100000 FILE ... # seconds and memory, on samples mixed from these files

A check is right in a sample that was damaged in the way that it looks for, and wrong in a sample that is as it was.
"""

from __future__ import annotations

import argparse
import random
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from clues.checks.copies import Copies
from clues.checks.findings import check_samples
from clues.checks.pair import Pair
from clues.checks.registry import CHECKS, DUPLICATE
from clues.data.samples import PublicSamples, Sample, read_private, read_records
from clues.io.spool import Spooled
from clues.lab.corruption import Corruption, corrupt

Edit = Callable[[str, random.Random], str]


def same(text: str, rng: random.Random) -> str:
    return text


def shouted(text: str, rng: random.Random) -> str:
    return text.upper().replace(",", "").replace(". ", " – ")


def replaced(share: float) -> Edit:
    def replace(text: str, rng: random.Random) -> str:
        return rejoined(text, ["thing" if rng.random() < share else word for word in parts(text)])

    return replace


def without_a_word(text: str, rng: random.Random) -> str:
    words = parts(text)
    del words[rng.randrange(len(words))]
    return rejoined(text, words)


def parts(text: str) -> list[str]:
    """Words, or characters where there are no spaces."""
    return text.split() if " " in text else list(text)


def rejoined(text: str, words: Sequence[str]) -> str:
    return (" " if " " in text else "").join(words)


# What each check looks for, as a corruption type. `cut` ends anywhere, so most of its samples end like sentences.
LOOKS_FOR = {
    "mojibake": "mojibake",
    "unfinished": "cut",
    "language": "foreign-language",
    "refusal": "refusal",
    "template": "template",
    "residue": "residue",
    "loop": "loop",
    "echo": "echo",
    DUPLICATE: "duplicate",
}
SHARE = 0.5  # of each file that is damaged
# Edits of a copy: of prompt, and of response.
EDITS: dict[str, tuple[Edit, Edit]] = {
    "none": (same, same),
    "case, spacing, punctuation": (shouted, shouted),
    "words around the prompt": (lambda text, rng: f"Question: {text} Please answer.", same),
    "words around the response": (same, lambda text, rng: f"Sure! {text} I hope this helps."),
    "a word of the prompt removed": (without_a_word, same),
    "a word of the response removed": (same, without_a_word),
    "2 % of the words of the response replaced": (same, replaced(0.02)),
    "5 % replaced": (same, replaced(0.05)),
    "10 % replaced": (same, replaced(0.1)),
}
COPIED, OF = 150, 600  # copies of samples, of a file cut to so many
NO_PUBLIC = PublicSamples([], [])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--labelled", action="store_true")
    parser.add_argument("--copies", action="store_true")
    parser.add_argument("--cost", type=int, metavar="SAMPLES")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.cost:
        print(cost([sample for file in options.files for sample in read(file)], options.cost, options.seed))
    elif options.labelled:
        for file in options.files:
            labelled(file)
    elif options.copies:
        copied(options.files, options.seed)
    else:
        damaged(options.files, options.seed)


def damaged(files: Sequence[str], seed: int) -> None:
    """A table: by check and file, how many of the damaged samples are found, and how many others are."""
    print(f"| check | {' | '.join(Path(file).stem for file in files)} |\n|---|{'---|' * len(files)}")
    cells: dict[str, list[str]] = {check: [] for check in LOOKS_FOR}
    for file in files:
        records, labels = corrupt(read(file), Corruption(list(LOOKS_FOR.values())), share=SHARE, seed=seed)
        kinds = np.array([label["kind"] for label in labels])
        found = findings(read_records(records, file), scores=(kinds == "").astype(float))
        for check, kind in LOOKS_FOR.items():
            right, wrong = found[check][kinds == kind], found[check][kinds == ""]
            cells[check].append(f"{right.sum()} of {len(right)}; {wrong.sum()} of {len(wrong)}")
    for check, texts in cells.items():
        print(f"| `{check}` | {' | '.join(texts)} |")


def copied(files: Sequence[str], seed: int) -> None:
    """A table: by edit and file, the share of the edited copies that are found beside their originals."""
    print(f"| edit | {' | '.join(Path(file).stem for file in files)} |\n|---|{'---|' * len(files)}")
    rng = random.Random(seed)
    chosen = [[Pair.of(sample) for sample in rng.sample(read(file), OF)] for file in files]
    for name, (prompt, response) in EDITS.items():
        shares = []
        for pairs in chosen:
            edited = [Pair(prompt(pair.prompt, rng), response(pair.response, rng)) for pair in pairs[:COPIED]]
            found = Copies([*pairs, *edited]).among(-np.arange(OF + COPIED, dtype=float))
            shares.append((found[OF:] >= 0).mean())
        print(f"| {name} | {' | '.join(f'{share:.2f}' for share in shares)} |")


def labelled(file: str) -> None:
    """By quality and check, how many samples of a file are found."""
    samples = read(file)
    quality = np.array([str(sample.record["quality"]) for sample in samples])
    found = findings(samples, scores=np.zeros(len(samples)))
    for name in np.unique(quality):
        counts = {check: int(rows[quality == name].sum()) for check, rows in found.items()}
        shown = ", ".join(f"{check} {count}" for check, count in counts.items() if count)
        print(f"{Path(file).stem}: of {(quality == name).sum()} {name}: {shown or 'nothing found'}")


def read(file: str) -> list[Sample]:
    """The samples of a file, without records that cannot be used."""
    return list(read_private(file).samples)


def findings(samples: Sequence[Sample], *, scores: np.ndarray) -> dict[str, np.ndarray]:
    """By check, whether it found something: samples, bool."""
    result = check_samples(samples, NO_PUBLIC)
    found = {name: result.marks >> bit & 1 == 1 for bit, name in enumerate(CHECKS)}
    return found | {DUPLICATE: result.copies.among(scores) >= 0}


def cost(samples: Sequence[Sample], count: int, seed: int) -> str:
    """Seconds of one core, and memory, of all checks of `count` samples; one in twenty is a near-copy."""
    spooled: Spooled[Sample] = Spooled()
    for sample in mixed(samples, count, random.Random(seed)):
        spooled.append(sample)
    before, start = memory(), time.process_time()
    found = Copies(map(Pair.of, spooled)).among(np.random.default_rng(seed).random(count))
    compared = time.process_time()
    result = check_samples(spooled, NO_PUBLIC)
    checked = time.process_time()
    words = sum(len(sample.response.split()) for sample in spooled[:1000]) / 1000
    names = Counter({name: int((result.marks >> bit & 1).sum()) for bit, name in enumerate(CHECKS)})
    return (
        f"{count:,} samples, responses of {words:.0f} words: near-copies {compared - start:.0f} s, all checks "
        f"{checked - compared:.0f} s; peak memory {before:.0f} MB before, {memory():.0f} MB after. Found: "
        f"{(found >= 0).sum()} near-copies, {', '.join(f'{count} {name}' for name, count in names.items() if count)}."
    )


def mixed(samples: Sequence[Sample], count: int, rng: random.Random) -> Iterator[Sample]:
    """Samples of sentences from random responses, each with a random prompt; some repeat the last but for a word."""
    last = samples[0]
    for number in range(count):
        if rng.random() < 0.05:
            words = last.response.split()
            words[rng.randrange(len(words))] = "indeed"
            context, response = last.context, " ".join(words)
        else:
            parts = [sentence for sample in rng.sample(samples, 4) for sentence in sample.response.split(". ")]
            context, response = rng.choice(samples).context, ". ".join(rng.sample(parts, min(4, len(parts))))
        last = Sample(str(number), context, response, "mixed", {}, f"sample {number}")
        yield last


def memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


if __name__ == "__main__":
    main()
