# `make demo` and `make test` each make their environment from nothing and end with the result.
PYTHON ?= python3
VENV := .venv

.PHONY: demo test clean

demo: $(VENV)/.ready
	$(VENV)/bin/clues demo --out runs/demo

test: $(VENV)/.ready
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/python -m pytest -q --durations=10

# Without an NVIDIA GPU the CPU build of torch comes first: the default build brings several GB of CUDA.
$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --upgrade pip
	@if ! command -v nvidia-smi >/dev/null 2>&1; then \
	  $(VENV)/bin/pip install --quiet torch==2.13.0 --extra-index-url https://download.pytorch.org/whl/cpu || \
	  $(VENV)/bin/pip install --quiet torch==2.13.0; fi
	$(VENV)/bin/pip install --quiet --editable '.[test]'
	touch $@

clean:
	rm -rf $(VENV) runs
