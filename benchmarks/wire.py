"""What a message costs: `python benchmarks/wire.py` measures adapters of several sizes, and runs of many tiny clients.

Steps of one message are those of the code, on one core: a client's (wire, ledger), the coordinator's (check, record,
float32, sum over two clients), and masks. From their seconds, a formula gives bytes and time of larger collaborations.
Seconds are those of the processor, which other work on the machine does not change much.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from attacks import partitioned
from tables import megabytes, table
from toy import write_model, write_samples
from workers import forget_peak, peak, size_of

from clues.collaboration import protocol
from clues.collaboration.items import items_of
from clues.collaboration.ledger import Ledger, Received
from clues.collaboration.local import collaborate
from clues.collaboration.privacy.keys import public_text
from clues.collaboration.privacy.masks import MaskedSum, mask, unmask
from clues.collaboration.strategies import aggregator
from clues.io.progress import reporting
from clues.models.adapters import AdapterState
from clues.settings import CollaborationSettings, RunSettings, Terms, validated

LINK = 125e6  # bytes a second: 1 Gbit/s at the coordinator
WIRES = ("float32", "float16")
ROUNDS = 3


def adapter(size: float) -> AdapterState:
    """So many megabytes in float32, in 64 tensors."""
    generator, width = torch.Generator().manual_seed(0), round(size * 1e6 / 4 / 64 / 8)
    return {
        f"model.layers.{layer}.q_proj.lora_{part}.weight": torch.randn(shape, generator=generator) / 100
        for layer in range(32)
        for part, shape in (("A", (8, width)), ("B", (width, 8)))
    }


def clocked(steps: dict[str, Callable[[], Any]]) -> dict[str, tuple[float, int]]:
    """Seconds, and the peak of memory beyond what was there before, of each step."""
    found = {}
    for name, step in steps.items():
        gc.collect()
        forget_peak()
        before, started = peak(), time.process_time()
        step()
        found[name] = (time.process_time() - started, peak() - before)
    return found


def messages(size: float, wire: str, folder: Path) -> dict[str, tuple[float, int]]:
    """One adapter from a client to the coordinator, step by step."""
    state, box = adapter(size), dict[str, Any]()
    terms = Terms.model_construct(collaboration=CollaborationSettings(wire=wire))  # type: ignore[arg-type]

    def keep(name: str, value: Any) -> None:
        box[name] = value

    strategy, other = aggregator("fedavg", clients=2), {name: tensor + 1 for name, tensor in state.items()}
    found = clocked(
        {
            "to wire": lambda: keep("sent", protocol.to_wire(state, terms)),
            "client's ledger": lambda: Ledger(folder / "ledger.jsonl").write("train", items_of({}, box["sent"])),
            "record": lambda: Received(folder / "received.jsonl").write("a", "train", items_of({}, box["sent"])),
            "check": lambda: protocol.like(state)(box["sent"]),
            "to float32": lambda: keep("arrived", protocol.from_wire(box["sent"])),
            "sum of two": lambda: strategy.step(1, state, [(box["arrived"], 1.0), (other, 1.0)]),
        }
    )
    if wire == "float32":
        found |= _masked(state)
    return found


def _masked(state: AdapterState) -> dict[str, tuple[float, int]]:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    keys = {client: X25519PrivateKey.generate() for client in ("a", "b", "c")}
    peers = {client: public_text(key) for client, key in keys.items()}
    plan, sent = MaskedSum("job", "1", dict.fromkeys(keys, 1.0)), dict[str, AdapterState]()

    def masked(client: str) -> None:
        sent[client] = mask(state, plan, client=client, key=keys[client], peers=peers).arrays

    first = clocked({"mask for 2 peers": lambda: masked("a")})
    masked("b")
    masked("c")
    return first | clocked({"unmask of 3": lambda: unmask(sent, plan)})


def whole_run(folder: Path, count: int, mode: str) -> list[str]:
    """A run of `count` clients with eight samples each, in this process."""
    data, names = folder / f"data-{count}", [f"c{number:02}" for number in range(count)]
    if not data.exists():
        partitioned(data, write_samples(folder / "things.jsonl", 1), names, per_client=8)
    values = {
        "validation": [str(data / "validation.jsonl")],
        "anchors": [str(data / "anchors.jsonl")],
        "clients": [{"id": name, "data": str(data / f"{name}.jsonl")} for name in names],
        "model": {"id": str(folder / "model"), "device": "cpu"},
        "training": {"epochs": 1.0, "checkpoints": 1},
        "scoring": {"method": "clues"},
        "collaboration": {"mode": mode, "rounds": 2},
        "evaluation": {"arms": []},
    }
    out = folder / f"run-{count}-{mode}"
    gc.collect()
    forget_peak()
    before, started = peak(), time.process_time()
    collaborate(validated(RunSettings, values), out)
    seconds, disk = time.process_time() - started, size_of(out / "server")
    return [mode, str(count), f"{seconds:.0f}", megabytes(peak() - before), megabytes(disk), megabytes(size_of(out))]


def predicted(seconds: float, stream: float) -> list[list[str]]:
    """Rows of the formula.

    Args:
        seconds: of the coordinator, for each MB that arrives. stream: of a client, for each MB and peer of its masks.
    """
    rows = []
    for size, count in itertools.product((4, 40), (20, 200, 2000)):
        up = count * size
        network, work = 2 * up * 1e6 / LINK, up * seconds
        total = 2 * ROUNDS * 2 * up + up  # both arms, down and up; the last adapter once more, to be scored with
        figures = [
            up / 1e3,
            network,
            work,
            total / 1e3,
            (network + work) * 2 * ROUNDS / 60,
            (count - 1) * size * stream,
        ]
        rows.append([str(size), f"{count:,}", *(f"{figure:,.3g}" for figure in figures)])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=float, nargs="+", default=[4.0, 40.0, 200.0], help="MB in float32")
    parser.add_argument("--clients", type=int, nargs="+", default=[5, 20])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, reporting("quiet"):
        folder = Path(scratch)
        messages(0.1, "float32", folder)  # what is loaded late
        found = {(size, wire): messages(size, wire, folder) for size in arguments.sizes for wire in WIRES}
        steps = list(dict.fromkeys(step for of_case in found.values() for step in of_case))
        rows = [
            [f"{size:g}", wire, *("" if step not in case else _cell(case[step]) for step in steps)]
            for (size, wire), case in found.items()
        ]
        table(["MB", "wire", *(f"{step}: s; MB" for step in steps)], rows)
        largest = max(arguments.sizes)
        case = found[largest, "float32"]
        seconds = sum(case[step][0] for step in ("record", "check", "to float32")) / largest
        seconds += case["sum of two"][0] / 2 / largest
        stream = case["mask for 2 peers"][0] / 2 / largest
        print(
            f"\nA link of {LINK / 125e6:g} Gbit/s; {seconds * 1e3:.1f} ms of the coordinator for each MB that arrives; "
            f"{stream * 1e3:.1f} ms of a client for each MB and peer of masks; {ROUNDS} rounds on all samples and "
            f"{ROUNDS} on the selected ones. The coordinator holds one round's answers in memory.\n"
        )
        head = ["MB", "clients", "answers of a round, GB", "a round on the link, s", "its checks and sum, s"]
        head += ["bytes of a run, GB", "a run without training, min", "masks of a client and round, s"]
        table(head, predicted(seconds, stream))
        print()
        write_model(folder / "model", steps=20)
        runs = [whole_run(folder, count, mode) for mode in ("merging", "federated") for count in arguments.clients]
        table(["mode", "clients", "seconds", "peak memory, MB", "server's disk, MB", "all disk, MB"], runs)


def _cell(measured: tuple[float, int]) -> str:
    return f"{measured[0]:.2f}; {measured[1] / 1e6:.0f}"


if __name__ == "__main__":
    main()
