"""Memory of scoring does not grow with the number of samples: measured in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys
from pathlib import Path
from clues.settings import LoraSettings, ModelSettings, ScoringSettings
from clues.data.tokens import Tokens
from clues.models.adapters import adapter_state, attached
from clues.models.base import load_base
from clues.models.trajectory import Checkpoint
from bundles import score

lora = LoraSettings(r=64, target_modules=["q_proj", "v_proj", "down_proj"])
base = load_base(ModelSettings(id=sys.argv[1], device="cpu"))
with attached(base, lora) as model:
    state = adapter_state(model)
print(sum(tensor.numel() for tensor in state.values()) * 4)
for count in (64, 768):
    samples = [Tokens(str(n), "d", [2 + (n + k) % 200 for k in range(24)], 8, False) for n in range(count)]
    score(base, [Checkpoint(state, 1.0)], lora, samples, samples[:8], ScoringSettings(), own=samples)
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(int(status["VmHWM"].split()[0]) * 1024)
"""


def test_peak_memory_at_twelve_times_the_samples(tiny_model):
    command, here = [sys.executable, "-c", SCRIPT, str(tiny_model)], Path(__file__).parents[1]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300, cwd=here)
    gradient, few, many = map(int, done.stdout.split())  # bytes of a sample's gradient, peaks of resident bytes
    assert 704 * gradient > 0.1 * few  # keeping the gradients would have shown
    assert many < 1.05 * few
