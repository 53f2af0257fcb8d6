# Two commands: `make demo` shows the main job, `make test` runs every test. Both set up what they need.
SHELL := /bin/bash
PYTHON := .venv/bin/python
# The sandbox runs containers, so it needs root; the caller's home and PATH stay.
ROOT := $(if $(filter 0,$(shell id -u)),,sudo -E env HOME="$(HOME)" PATH="$(PATH)")
# More arguments for pytest, such as PYTEST='-k release'; UNIT is for the unit tests alone.
PYTEST :=
UNIT :=
# On a machine that does other things too, what waits for a dozen real parts fails now and then: a test that fails is
# run once more, and both tries are told in the end. SECOND= takes the first for the answer.
SECOND := --reruns 1

.PHONY: demo test test-beside test-unit test-apart test-world test-postgres faults scale pictures fuzz audit check setup browser down bench schema charts docs reference

demo: setup
	$(ROOT) .venv/bin/symphony demo

test: test-beside test-world

# What may run beside the tests of the sandbox.
test-beside: setup
	@$(MAKE) --no-print-directory -j1 -k test-unit test-apart

test-unit: setup
	nice -n 19 $(PYTHON) -m pytest tests --ignore=tests/world --ignore=tests/faults -n logical --dist loadfile $(SECOND) $(PYTEST) $(UNIT)

# Tests on real parts of their own; those of the sandbox may run beside them.
test-apart: setup
	$(ROOT) nice -n 15 $(PYTHON) -m pytest tests/world -m apart $(SECOND) $(PYTEST)

test-world: browser
	$(ROOT) $(PYTHON) -m pytest tests/world tests/faults -m "not apart and (sample or not fault)" --durations=25 --durations-min=20 $(SECOND) $(PYTEST)

# The same on a new sandbox whose Prefect server is two API servers on PostgreSQL and Redis: an hour.
test-postgres: browser
	$(ROOT) .venv/bin/symphony down
	$(ROOT) .venv/bin/symphony up --server postgres
	$(ROOT) $(PYTHON) -m pytest tests/world tests/faults --ignore=tests/world/test_lifecycle.py \
	  -m "not apart and (sample or not fault)" $(SECOND) $(PYTEST)

# Every fault in the middle of every stage of a release, and a table of what came of each: an hour and a half.
faults:
	@./setup.sh --faults
	$(ROOT) $(PYTHON) -m pytest tests/faults tests/world/test_workers_in_cluster.py -m fault $(PYTEST)

# Thirty releases at once on three workers, of which one is lost, on the Prefect server that the sandbox has.
scale: setup
	$(ROOT) $(PYTHON) -m pytest tests/world/scale.py $(PYTEST)

# The pictures in docs/, of a sandbox that is up, as the tests of Prefect's UI see it.
pictures: browser
	$(ROOT) env SYMPHONY_PICTURES=$(CURDIR)/docs/images $(PYTHON) -m pytest tests/world/test_ui.py

# 100,000 inputs for the parsers of outside input, 3,000 each.
fuzz: setup
	SYMPHONY_FUZZ=3000 nice -n 19 $(PYTHON) -m pytest tests/fuzz -n logical $(PYTEST)

# Known vulnerabilities of what requirements.lock pins; it fails where their list cannot be had.
audit: setup
	.venv/bin/pip-audit --strict --disable-pip --require-hashes --requirement requirements.lock

# Each package that is installed must be under one of these licences.
LICENCES := Apache;Artistic;BSD;ISC;MIT;MPL;Mozilla;PSF;Python Software Foundation

check: setup
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check
	$(PYTHON) -m mypy
	.venv/bin/lint-imports
	.venv/bin/interrogate --quiet cli deployments flows sandbox symphony tasks
	.venv/bin/pip-licenses --from=mixed --partial-match --allow-only="$(LICENCES)" --format=csv > .venv/licences.csv

setup:
	@./setup.sh

browser: setup
	@./setup.sh --browser

down:
	$(ROOT) .venv/bin/symphony down

# A measurement against the raw tools, such as NAME=push_to_live.
bench: setup
	$(ROOT) $(PYTHON) -m benchmarks.$(or $(NAME),$(error say which: make bench NAME=push_to_live))

# The JSON schema of symphony.yaml, for editors.
schema: setup
	$(PYTHON) -c 'import json; from symphony.config import Configuration; print(json.dumps(Configuration.model_json_schema(), indent=2))' > symphony.schema.json

# The application charts' copies of the values' schema, and the golden renders that tests compare with.
charts: setup
	$(PYTHON) -m tests.charts.renders

# The site, into site/; it fails for a link that leads nowhere.
docs: setup
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict

# The pages of docs/reference/, after a change of what they are made from.
reference: setup
	$(PYTHON) -m docs.reference
