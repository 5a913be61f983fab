# `make demo` and `make test` each make their environment from nothing and end with the result.
PYTHON ?= python3
VENV := .venv

.PHONY: demo test clean

demo: $(VENV)/.ready
	$(VENV)/bin/clues demo --out runs/demo

test: $(VENV)/.ready
	$(VENV)/bin/ruff check --no-cache .
	$(VENV)/bin/ruff format --no-cache --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/python -m pytest -q --durations=10

# Without an NVIDIA GPU torch comes first and alone, so that a CPU build is taken where one is offered;
# TORCH_INDEX=URL names an index of CPU builds where pip's own has none.
$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install -qq --upgrade pip
	@command -v nvidia-smi >/dev/null 2>&1 || \
	  $(VENV)/bin/pip install -qq torch==2.13.0 $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
	$(VENV)/bin/pip install -qq --editable '.[test]'
	touch $@

clean:
	rm -rf $(VENV) runs
