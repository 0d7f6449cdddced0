# The commands of the project. Every target that needs the environment builds it first; nothing is fetched when it is up to date.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules
SHELL := /bin/sh

BIN := .venv/bin
PYTEST := $(BIN)/pytest -n 2 --dist loadgroup
PYTEST_ARGS ?=

# Any Python 3 can start the set-up. A version manager's shim may be first on the PATH and refuse, so the first that runs is taken.
define bootstrap
@for python in python3 /usr/bin/python3 /usr/local/bin/python3 python3.14 python3.13 python; do \
	if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 8))' >/dev/null 2>&1; then \
		exec "$$python" scripts/bootstrap.py $(1); \
	fi; \
done; \
echo 'set-up: no Python 3.8 or newer runs here; install one (any will do to start with)' >&2; exit 1
endef

.PHONY: help
help: ## Show the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' Makefile | awk -F'|' '{ printf "  make %-10s %s\n", $$1, $$2 }'

.PHONY: setup
setup: ## Build the virtual environments, where they are missing or out of date
	$(call bootstrap,setup)

# The demo needs no contract compiler.
.PHONY: setup-main
setup-main:
	$(call bootstrap,setup main)

.PHONY: demo
demo: setup-main ## Attack a private chain and watch Tocsin respond
	@$(BIN)/tocsin demo

.PHONY: test
test: setup ## Run the tests, without the long ones (under 5 minutes)
	@$(PYTEST) -m "not full" $(PYTEST_ARGS)

.PHONY: test-full
test-full: setup ## Run all tests: every drill, every crash point (under 40 minutes)
	@$(PYTEST) $(PYTEST_ARGS)

.PHONY: coverage
coverage: setup ## Run the tests of `make test` and show what they leave out
	@$(PYTEST) -m "not full" --cov --cov-report=term-missing:skip-covered --cov-report=html $(PYTEST_ARGS)

.PHONY: check lint types imports reference
check: lint types imports reference ## Lint, formatting, types, the rooms of the house, generated pages

lint: setup-main
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: setup-main
	@$(BIN)/pyright

imports: setup-main
	@$(BIN)/lint-imports

# Reference pages are generated from the code; the generator says with --check whether they still match it.
reference: setup-main
	@if [ -f scripts/reference.py ]; then $(BIN)/python scripts/reference.py --check; fi

.PHONY: format
format: setup-main ## Format the code and mend what ruff can mend
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

.PHONY: bench
bench: setup-main ## Run the benchmarks
	@if [ -f benchmarks/__main__.py ]; then $(BIN)/python -m benchmarks; else echo 'no benchmarks yet'; fi

.PHONY: lock
lock: ## Write the lock files anew (UPGRADE=1: newest versions)
	$(call bootstrap,lock $(if $(UPGRADE),--upgrade))

.PHONY: clean
clean: ## Remove what tests and tools leave behind; the environments stay
	@rm -rf .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.* htmlcov build dist
	@find . \( -name .venv -o -name .venv-tools -o -name .git \) -prune -o \( -name __pycache__ -o -name .ruff_cache \) -type d -prune -exec rm -rf {} +

.PHONY: distclean
distclean: clean ## Remove the environments as well
	@rm -rf .venv .venv-tools reference-platform/contracts/.venv
