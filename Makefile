# `make demo` runs it, `make test` tests it; both set up what they need first.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
ENVIRONMENT := .venv/.installed

SUITE := PYTHONDONTWRITEBYTECODE= $(BIN)/pytest -n 2 # many processes start in it, and none should compile what another has

.DEFAULT_GOAL := help
.PHONY: help demo dev test soak replay lint format bench engine clean

help: ## Say what there is to make.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(ENVIRONMENT) ## Play a real stream of events through everything, and stay up.
	@$(BIN)/sojourn demo

dev: $(ENVIRONMENT) ## Everything up, without the play.
	@$(BIN)/sojourn dev

test: $(ENVIRONMENT) engine lint replay ## Lint, type-check, replay and test.
	@$(SUITE)

soak: $(ENVIRONMENT) engine ## What takes longer: every seed, every kill point, no cache.
	@$(SUITE) -m "soak or not soak"

replay: $(ENVIRONMENT) ## Replay the recorded histories with the code as it is.
	@$(BIN)/sojourn replay

lint: $(ENVIRONMENT)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(ENVIRONMENT) ## Put the code in form.
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(ENVIRONMENT) engine ## Measure, against a bare Temporal workflow in the same run.
	@$(BIN)/python -m bench

engine: $(ENVIRONMENT)
	@$(BIN)/python -m engine

clean: ## Take away the environment and what runs have left.
	rm -rf .venv .sojourn .pytest_cache .mypy_cache .ruff_cache

$(ENVIRONMENT): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "sojourn: Python 3.11 or later is needed and none was found on PATH; install python3 (Debian 12 has 3.11)."; exit 1; }
	@echo "Setting up the Python environment in .venv (a minute, once)"
	@$(BIN)/python -c pass 2>/dev/null || rm -rf .venv
	@$(PYTHON) -m venv .venv >/tmp/sojourn-venv.$$$$ 2>&1 || { cat /tmp/sojourn-venv.$$$$; rm -f /tmp/sojourn-venv.$$$$; \
		echo "sojourn: a virtual environment cannot be made; on Debian: apt-get install python3-venv"; exit 1; }; rm -f /tmp/sojourn-venv.$$$$
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@
