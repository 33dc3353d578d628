# The commands of a contributor. Another interpreter: make test PYTHON=python3.12
PYTHON ?= python
export PYTHON

.PHONY: help setup lint test docs docs-fast docs-check bench

help:
	@echo "make setup   install the package, editable, with all that the others need"
	@echo "make lint    style, spelling and types"
	@echo "make test    doctests and tests; ARGS='tests/metrics --cov' for a part, and coverage"
	@echo "make docs    the documentation with its gallery, in docs/_build/html"
	@echo "make docs-fast   the same without running the examples"
	@echo "make docs-check  the same, then every page in a browser"
	@echo "make bench   one benchmark: make bench NAME=training"

setup:
	$(PYTHON) -m pip install -c constraints.txt -e ".[test,docs,bench]" pre-commit
	$(PYTHON) -m pre_commit install

lint:
	.ci/lint

test:
	.ci/test $(ARGS)

docs:
	-$(PYTHON) docs/vendor.py
	$(PYTHON) -m sphinx -W --keep-going -b html docs docs/_build/html

docs-fast:
	DOCS_FAST=1 $(PYTHON) -m sphinx -W --keep-going -b html docs docs/_build/html

docs-check:
	.ci/docs

bench:
	OMP_NUM_THREADS=1 $(PYTHON) benchmarks/bench_$(NAME).py
