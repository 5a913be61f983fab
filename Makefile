# `make demo` and `make test` each make their environment from nothing and end with the result.
PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip install -qq --disable-pip-version-check

.PHONY: demo test clean

demo: $(VENV)/.ready
	$(VENV)/bin/clues demo --out runs/demo

test: $(VENV)/.ready
	$(VENV)/bin/ruff check --no-cache .
	$(VENV)/bin/ruff format --no-cache --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/python -m pytest -q --durations=10 -n 2 --dist loadfile

# $(call step,what it does,command): says so, and every 20 seconds that it goes on.
define step
@echo "$(1) …"; (while sleep 20 >&- 2>&-; do echo "  … still going"; done) & beat=$$!; $(2); code=$$?; kill $$beat; exit $$code
endef

# Without an NVIDIA GPU torch comes first and alone, so that a CPU build is taken where one is offered;
# TORCH_INDEX=URL names an index of CPU builds where pip's own has none.
$(VENV)/.ready: pyproject.toml
	$(call step,Making the environment $(VENV),$(PYTHON) -m venv $(VENV) && $(PIP) --upgrade pip)
	$(call step,Installing torch,command -v nvidia-smi >/dev/null 2>&1 || \
	  $(PIP) torch==2.13.0 $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)))
	$(call step,Installing the package and its tests,$(PIP) --editable '.[test]')
	@touch $@

clean:
	rm -rf $(VENV) runs
