# make setup   builds .venv and brings the embedded model
# make test    set-up, then style, types and tests
# make demo    set-up, then the main job on the built-in corpus
# Another Python: make setup PYTHON=python3.12

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed
PIP := $(VENV)/bin/python -m pip install --disable-pip-version-check --quiet -c constraints.txt

.PHONY: setup test demo

# fetch does nothing where the models are there already, so it needs no stamp.
setup: $(STAMP)
	$(VENV)/bin/seal-agent fetch

# The stamp comes last: a set-up that was cut short is begun again.
# torch first and by itself: what else is installed must not choose its build.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "seal_agent needs Python 3.11 or newer; this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(PIP) $$(grep '^torch==' constraints.txt)
	$(PIP) -e '.[dev,langchain]'
	touch $(STAMP)

# Most tests are small computations, which gain nothing from a second thread: two files side by side, a thread each. What trains
# the embedded model or is timed comes after, with the machine for itself.
test: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	OMP_NUM_THREADS=1 $(VENV)/bin/pytest -n 2 --dist loadfile -m "not alone"
	$(VENV)/bin/pytest -m alone

demo: setup
	$(VENV)/bin/seal-agent demo
