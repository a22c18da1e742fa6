# livem: `make demo` to see it, `make test` to check it. Both make .venv and install what they need.

export PYTHON ?= python3
BIN := .venv/bin

# Without these files every process compiles all its modules anew, 0.1 s, and the tests start hundreds.
unexport PYTHONDONTWRITEBYTECODE

# Without a display Qt draws into memory.
ifeq ($(shell uname -s)$(DISPLAY)$(WAYLAND_DISPLAY),Linux)
export QT_QPA_PLATFORM ?= offscreen
endif

.PHONY: help demo test lint kernels bench clean

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST)

demo: .venv/.viewer ## Simulated microscopes: a window, or pictures in demo-output/
	$(BIN)/livem demo --out demo-output

test: .venv/.dev ## All checks and tests (warnings are errors)
	$(MAKE) -j2 lint kernels
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

lint: .venv/.dev ## ruff, mypy and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	MYPYPATH=.venv/checkout $(BIN)/mypy --explicit-package-bases .venv/checkout/livem
	$(BIN)/lint-imports --no-logo

# Beside mypy, and once: in an empty cache every process of the first tests would compile all of them.
kernels: .venv/.dev
	$(BIN)/python .ci/compile.py

bench: .venv/.viewer ## Measure this machine against memcpy and the peers that are installed
	$(BIN)/livem bench

clean: ## Remove .venv, caches and what the demo wrote
	rm -rf .venv build demo-output *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

# Stamps: installed again only when pyproject.toml has changed. [dev] contains [viewer].
.venv/.viewer: pyproject.toml .ci/prepare
	@.ci/prepare viewer
	@touch $@

.venv/.dev: pyproject.toml .ci/prepare
	@.ci/prepare dev
	@touch $@ .venv/.viewer
