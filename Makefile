# Plain verbs; begin with `make serve` and, beside it, `make connect`.
# ARGS passes options on: make serve ARGS='--port 4041'

export PIP_DISABLE_PIP_VERSION_CHECK = 1
COMPILE = .venv/bin/uv pip compile --quiet --universal --no-emit-index-url --no-emit-find-links \
	--custom-compile-command 'make requirements' pyproject.toml
PAGE = tests/browser tests/page
LOAD = tests/loadtests
ENGINE = tests/server/timeline/redis tests/server/workers \
	$(wildcard tests/test_workers.py tests/test_redis_*.py tests/test_history_redis.py tests/test_deploy_cluster.py) \
	$(addprefix tests/conversations/, test_engine.py test_clients_of_nodes.py test_nicks_in_a_storm.py \
	test_people_agree.py test_people_of_nodes.py test_presence_of_nodes.py test_rules_of_nodes.py \
	test_two_nodes_forgotten.py)

.PHONY: serve connect cluster load bench capacity soak test test-nodes test-page test-load proof fuzz check format requirements clean

serve: .venv/.installed
	@.venv/bin/geventchat serve $(ARGS)

connect: .venv/.installed
	@.venv/bin/geventchat connect $(ARGS)

cluster: .venv/.installed-dev
	@.venv/bin/python -m loadtests.cluster $(ARGS)

load: .venv/.installed-dev
	@.venv/bin/python -m loadtests $(ARGS)

bench: .venv/.installed-dev
	@.venv/bin/python -m loadtests.fanout $(ARGS)

capacity: .venv/.installed-dev
	@.venv/bin/python -m loadtests.capacity $(ARGS)

soak: .venv/.installed-dev
	@.venv/bin/python -m loadtests.scenarios.soak $(ARGS)

test: .venv/.installed-dev
	@.venv/bin/pytest $(addprefix --ignore=,$(PAGE) $(LOAD) $(ENGINE)) $(ARGS)

test-nodes: .venv/.installed-dev
	@.venv/bin/pytest $(ENGINE) $(ARGS)
	@CONVERSATION_NODES=2 .venv/bin/pytest tests/conversations $(addprefix --ignore=,$(ENGINE)) $(ARGS)

test-page: .venv/.installed-dev
	@.venv/bin/pytest $(PAGE) $(ARGS)

test-load: .venv/.installed-dev
	@.venv/bin/pytest $(LOAD) $(ARGS)

proof: .venv/.installed-dev
	@.venv/bin/python -m tests.proof $(ARGS)

fuzz: .venv/.installed-dev
	@.venv/bin/python -m tests.fuzz $(ARGS)

check: .venv/.installed-dev
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-logo
	@.ci/page
	@.venv/bin/python .ci/pins.py
	@.venv/bin/hadolint Dockerfile

format: .venv/.installed-dev
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

# Pins that still fit are kept; to renew them all, delete the files first.
requirements: .venv/.installed-dev
	@$(COMPILE) --extra redis -o requirements.txt
	@$(COMPILE) --extra redis --extra test --extra load --extra fuzz --constraint requirements.txt -o requirements-dev.txt

clean:
	rm -rf .venv build *.egg-info .*_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

.venv/.installed: requirements.txt pyproject.toml | .venv/bin/python
	@echo Installing what geventchat needs into .venv
	@.venv/bin/python -m pip install --quiet -r requirements.txt
	@.venv/bin/python -m pip install --quiet --no-deps --editable .
	@touch $@

.venv/.installed-dev: requirements-dev.txt .venv/.installed
	@echo Installing what its tests need into .venv
	@.venv/bin/python -m pip install --quiet -r requirements-dev.txt
	@touch $@

.venv/bin/python:
	@for python in python3 python3.13 python3.12 python3.11; do \
		if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
		then exec $$python -m venv .venv; fi; \
	done; echo 'geventchat needs Python 3.11 or newer' >&2; exit 1
