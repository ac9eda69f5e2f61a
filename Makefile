# A thin list of targets; what they do is in lab/. Run `make` alone to see them.
SHELL := /bin/sh
STACK ?= p3
.DEFAULT_GOAL := help

PYTHON := .venv/bin/python
BOOTSTRAP := bash lab/bootstrap.sh

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: test
test: ## every tier of tests whose tools are here
	@$(BOOTSTRAP) dev
	@$(PYTHON) -m lab test

.PHONY: lint
lint: ## ruff, mypy, shellcheck, yamllint
	@$(BOOTSTRAP) dev
	@$(PYTHON) -m lab lint

.PHONY: lock
lock: ## compile requirements*.in into hash-locked requirements*.txt
	@$(BOOTSTRAP) dev
	@for f in requirements requirements-dev; do \
		.venv/bin/uv pip compile --quiet --universal --generate-hashes --python-version 3.10 \
			--no-emit-index-url --custom-compile-command 'make lock' $$f.in -o $$f.txt || exit 1; done
