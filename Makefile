# make demo          migrates 20 tables between two accounts of the lab and prints the result
# make lab           runs two accounts of the lab with some tables to move, and says how, until Ctrl-C
# make test          runs every check (PYTHON=/path/to/python3 takes another Python)
# make test-matrix   runs the main checks on the oldest and on the newest Ansible (15 minutes)
# make setup         only installs their requirements into .venv
# make spark         fetches the Sparks by which the lab runs jobs (Java 17; Python 3.11, 3.13)
# make site          builds the documentation into build/site
# make release       prepares a release: version, changelog, artifact, Galaxy's importer (VERSION=1.2.0); publishes nothing
# make bench         compares the data plane with its peers (14 minutes)
# make bench-spark   compares the Spark job with others, on Spark 3.5 and 4.1 (20 minutes)
# make bench-fleet   migrates 100 and 500 tables at once (12 minutes)
# make bench-check   checks 1,000 tables in check mode (3 minutes)
# make bench-plan    plans 40 tables and moves them: are they as long on their way as planned? (4 minutes)
# make orphans       kills copies under throttled writes and copies anew, 50 times (ORPHANS=50; 1 minute)
# make histories     plays 10,000 random histories of each method over the lab (METHOD=s3 SEED=1 COUNT=100; an hour)
# make fuzz          moves 10^6 random items with every fault on and 200 kills (SEED=1 MINUTES=40 at most; 20 minutes)
# make bench-compare compares tables of 10^7 items with 100 times fewer buckets, as 10^9 (5 minutes)
# All need Python 3.11 or newer, make and a package index, and install the rest into .venv.

PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
REQUIREMENTS := requirements-dev.txt
BIN := $(VENV)/bin
ROOT := $(CURDIR)
LINKED := build/collections
INSTALLED := build/installed
# amazon.aws and community.aws are found where pip put them.
AS_INSTALLED := PYTHONPATH=$(ROOT) ANSIBLE_COLLECTIONS_PATH=$(ROOT)/$(INSTALLED)
SANITY := build/sanity/ansible_collections/tableferry/aws

export PATH := $(ROOT)/$(BIN):$(PATH)
export PYTHONPATH := $(ROOT)/$(LINKED):$(ROOT)
export ANSIBLE_COLLECTIONS_PATH := $(ROOT)/$(LINKED)
export ANSIBLE_HOME := $(ROOT)/build/ansible
export ANSIBLE_NOCOLOR ?= 1
export AWS_EC2_METADATA_DISABLED := true
# The checks must neither depend on an account nor reach one.
unexport AWS_PROFILE AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_DEFAULT_REGION AWS_REGION

UNIT := tests/unit
# Those that mostly run real Spark jobs: in make test they go on beside the others.
SPARK_UNIT := tests/unit/spark tests/unit/lab/spark tests/unit/on_lab/spark tests/unit/on_lab/methods/spark tests/unit/on_lab/methods/test_merge.py tests/unit/on_lab/test_spark_job.py
NOT_OF_ANSIBLE := tests/unit/lab tests/unit/on_lab/test_histories.py tests/unit/spark tests/unit/on_lab/spark tests/unit/on_lab/methods tests/unit/on_lab/items tests/unit/on_lab/exports tests/unit/on_lab/jobs tests/unit/on_lab/test_spark_job.py
RUNS := $(sort $(wildcard tests/runs/test_*.py))

.PHONY: $(RUNS) help setup setup-newest demo lab test test-matrix test-main test-scenarios test-newest test-2.18 lint types unit unit-spark test-runs test-mixed docs sanity molecule engines spark test-engines test-browser screenshots orphans histories fuzz bench bench-compare bench-peers bench-spark bench-fleet bench-check bench-plan artifact site package release generate permissions clean

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

setup: $(VENV)/.installed $(LINKED)/ansible_collections/tableferry/aws

$(VENV)/.installed: requirements.txt $(REQUIREMENTS)
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed and was not found. Install it, or set PYTHON=/path/to/python3."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r $(REQUIREMENTS)
	@touch $@

$(LINKED)/ansible_collections/tableferry/aws:
	@mkdir -p $(@D)
	@ln -sfn ../../../.. $@

# The artifact as a user installs it; the demo and the benchmark run from it.
artifact: setup
	@rm -rf $(INSTALLED) build/artifact
	@ansible-galaxy collection build --force --output-path build/artifact >/dev/null
	@$(AS_INSTALLED) ansible-galaxy collection install --force --no-deps --offline -p $(INSTALLED) build/artifact/tableferry-aws-*.tar.gz >/dev/null

# The Spark is that of the jobs of AWS Glue and Amazon EMR. Without Java 17 the demo leaves out their tables.
demo: artifact
	@$(BIN)/python -m lab.spark.fetch 3.5.6
	@$(AS_INSTALLED) $(BIN)/python -m demo

lab: artifact
	@$(AS_INSTALLED) $(BIN)/python -m demo.playground

# Whole runs mostly wait, so several checks go on side by side; what a check printed is shown when it has ended.
JOBS ?= 3
SIDE_BY_SIDE = --jobs=$(JOBS) --output-sync=target

# They start in this order: the longest one early, whole runs beside the checks that compute. The scenarios come after
# them: one that moves the lab's clock by a day met a request that was signed before, when the machine was busy.
test: setup
	$(MAKE) $(SIDE_BY_SIDE) UNIT="tests/unit $(addprefix --ignore=,$(SPARK_UNIT))" \
		lint unit unit-spark $(RUNS) sanity test-engines test-browser types docs site
	$(MAKE) molecule
	@echo "All checks passed."

# The oldest and the newest Ansible that the collection works with; CONTRIBUTING.md says how to add the next.
MAIN_SCENARIOS := migrate check cleanup backup two_pairs
NEWEST_PYTHON ?= $(shell for p in python3.14 python3.13 $(wildcard $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions/3.1[34].*/bin/python3) python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 13))' 2>/dev/null && echo $$p && break; done)

test-matrix: test-main test-newest test-2.18
	@echo "All checks of the matrix passed."

test-main: setup
	$(MAKE) $(SIDE_BY_SIDE) unit sanity test-scenarios lint types

test-scenarios: artifact
	$(AS_INSTALLED) $(BIN)/molecule test $(addprefix -s ,$(MAIN_SCENARIOS))

setup-newest:
	@test -n "$(NEWEST_PYTHON)" || { echo "Python 3.13 or newer is needed and was not found. Install it, or set NEWEST_PYTHON=/path/to/python3."; exit 1; }
	$(MAKE) VENV=build/venvs/newest PYTHON=$(NEWEST_PYTHON) setup

# Without the tests of the lab, random histories, whole methods on the lab and real Spark jobs: none depends on Ansible,
# and make test has them. The scenarios move tables by S3 and AWS Backup.
test-newest: setup-newest
	$(MAKE) VENV=build/venvs/newest PYTHON=$(NEWEST_PYTHON) test-main \
		UNIT="tests/unit $(addprefix --ignore=,$(NOT_OF_ANSIBLE))"

# No package "ansible" has core 2.18 with the collections that are needed, so those come from the next one.
test-2.18:
	$(MAKE) VENV=build/venvs/2.18 REQUIREMENTS=tests/requirements-2.18.txt setup
	build/venvs/2.18/bin/python -m pip install --quiet --disable-pip-version-check --no-deps 'ansible>=12.3,<13'
	$(MAKE) VENV=build/venvs/2.18 REQUIREMENTS=tests/requirements-2.18.txt MAIN_SCENARIOS=migrate unit test-scenarios

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/yamllint --strict .
	$(BIN)/ansible-lint --offline --profile production
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/release.yml .github/workflows/test.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/bug.yml .github/ISSUE_TEMPLATE/feature.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml

types: setup
	cd $(LINKED) && MYPYPATH=. $(ROOT)/$(BIN)/mypy --config-file $(ROOT)/pyproject.toml --cache-dir $(ROOT)/build/mypy \
		ansible_collections/tableferry/aws/plugins/module_utils/core

docs: setup
	cd $(LINKED)/ansible_collections/tableferry/aws && antsibull-docs lint-collection-docs --plugin-docs --skip-rstcheck .
	$(BIN)/antsibull-changelog lint

unit: setup spark
	$(BIN)/python -m pytest $(UNIT)

unit-spark: setup spark
	$(BIN)/python -m pytest $(SPARK_UNIT)

# Real processes of ansible-playbook on a lab: interrupted, killed, taken over, several at once. Each file is a check.
test-runs: setup
	$(MAKE) $(SIDE_BY_SIDE) $(RUNS)

$(RUNS): setup spark
	$(BIN)/python -m pytest $@

# Everything that a user's configuration does to a run, at once, with 100 tables; test-runs has it with 12.
test-mixed: setup
	$(BIN)/python -m pytest tests/runs/test_mixed.py --mixed-tables 100

# What users install, checked as Galaxy checks it. ansible-test wants it at ansible_collections/tableferry/aws, and pip
# from a host of its own unless it finds a script in its cache. It keeps that below the home directory.
sanity: artifact
	@rm -rf $(SANITY) && mkdir -p $(SANITY)/tests
	@cp -r $(INSTALLED)/ansible_collections/tableferry/aws/. $(SANITY) && cp tests/config.yml $(SANITY)/tests
	@rm $(SANITY)/MANIFEST.json $(SANITY)/FILES.json && cp galaxy.yml $(SANITY)
	@git -C $(SANITY) init --quiet && git -C $(SANITY) add --all
	@mkdir -p build/home/.ansible/test/cache && ln -sfn $(HOME)/.config build/home/.config
	@cp tests/get_pip.py build/home/.ansible/test/cache/get_pip_$$(sed -n "s/^ *pip='\(.*\)',$$/\1/p" \
		$(VENV)/lib/python3*/site-packages/ansible_test/_internal/python_requirements.py | tr . _).py
	cd $(SANITY) && HOME=$(ROOT)/build/home ANSIBLE_COLLECTIONS_PATH= PYTHONPATH= ansible-test sanity --color no \
		--python $$($(ROOT)/$(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')

# Without Java 17 the scenario spark is left out.
molecule: artifact
	@$(BIN)/python -m lab.spark.fetch 3.5.6
	$(AS_INSTALLED) $(BIN)/molecule test --all

# DynamoDB Local (Java, Maven) and dynalite (Node), into build/engines. What this machine cannot run is left out with a line.
engines: setup
	$(BIN)/python -m engines.fetch

# The Sparks by which the lab runs jobs, into build/spark, 300 MB each, once: 3.5.6 needs Java 17 and Python 3.11, 4.1.1
# needs Java 17 and Python 3.13, or they are left out with a line.
spark: setup
	$(BIN)/python -m lab.spark.fetch

test-engines: engines
	$(BIN)/python -m pytest tests/engines

# The report's page in Chromium, with axe-core of npm. What this machine cannot run is left out with a line.
test-browser: setup
	$(BIN)/python -m pytest tests/browser

# Pictures of the report's page, into docs/screenshots.
screenshots: setup
	$(BIN)/python -m generate.screenshots

# Both ways, with a checkpoint and without, each so many times: what they show may depend on the moment of the kill.
orphans: setup
	ORPHANS=$(or $(ORPHANS),50) $(BIN)/python -m pytest tests/unit/core/items/test_permit.py -k orphaned

# What they find is shrunk and printed with its seed, by which it can be played again.
SEED ?= 1
COUNT ?= 10000
histories: setup
	$(BIN)/python -m tests.histories $(addprefix --method ,$(METHOD)) --seed $(SEED) --count $(COUNT)

# Says the seeds of rounds that broke a promise, by which these can be played again.
MINUTES ?= 40
fuzz: setup
	$(BIN)/python -m tests.fuzz --seed $(SEED) --minutes $(MINUTES)

bench-compare: setup
	$(BIN)/python -m benchmarks.comparing
	$(BIN)/python -m benchmarks.comparing --differences 100000 --workers 2

bench-peers: setup
	$(BIN)/python -m benchmarks.peers

bench: setup engines bench-peers
	$(BIN)/python -m benchmarks.data_plane

bench-spark: setup
	$(BIN)/python -m lab.spark.fetch 3.5.6 4.1.1
	$(BIN)/python -m benchmarks.spark.fetch
	$(BIN)/python -m benchmarks.spark

bench-fleet: artifact
	$(AS_INSTALLED) $(BIN)/python -m benchmarks.fleet

bench-check: artifact
	$(AS_INSTALLED) $(BIN)/python -m benchmarks.check

bench-plan: artifact
	$(AS_INSTALLED) $(BIN)/python -m benchmarks.planned

# Policies from the calls of whole migrations on the lab (3 minutes).
permissions: setup spark
	$(BIN)/python -m generate.permission_files

# Files that are generated from others and kept in the repository.
generate: setup
	$(BIN)/python -m lab.rules > docs/lab-rules.md
	$(BIN)/python -m generate.module_docs
	$(BIN)/python -m generate.prices
	$(BIN)/python -m generate.troubleshooting

# Guides, pages, plugins and roles as a site, without network; a warning of Sphinx fails.
site: setup
	$(BIN)/python -m generate.site

# Galaxy's importer over the artifact, without ansible-lint, which `make lint` runs. Any finding of it fails.
RELEASE := build/release
package: setup
	$(BIN)/python -m generate.release --same $(or $(VERSION),$$(sed -n 's/^version: //p' galaxy.yml))
	@test -e build/venvs/importer/.installed || { $(PYTHON) -m venv build/venvs/importer && \
		build/venvs/importer/bin/pip install --quiet --disable-pip-version-check -r tests/requirements-importer.txt && \
		touch build/venvs/importer/.installed; }
	@rm -rf $(RELEASE) && mkdir -p $(RELEASE)
	ansible-galaxy collection build --output-path $(RELEASE)
	cd $(RELEASE) && env -u PYTHONPATH -u ANSIBLE_COLLECTIONS_PATH PATH=$(ROOT)/build/venvs/importer/bin:/usr/local/bin:/usr/bin:/bin \
		GALAXY_IMPORTER_RUN_ANSIBLE_LINT=false GALAXY_IMPORTER_CHECK_REQUIRED_TAGS=true \
		python -m galaxy_importer.main tableferry-aws-*.tar.gz > importer.log 2>&1 || { tail -5 importer.log; exit 1; }
	@! grep -E '^(WARNING|ERROR|CRITICAL)' $(RELEASE)/importer.log
	@echo "Built and imported: $$(ls $(RELEASE)/tableferry-aws-*.tar.gz)"

# Refuses a work tree with changes, and a version that is not newer.
release: setup
	@test -n "$(VERSION)" || { echo "Name the version: make release VERSION=1.2.0"; exit 1; }
	$(BIN)/python -m generate.release $(VERSION)
	$(MAKE) package VERSION=$(VERSION)
	@echo "Next: look at the changes, commit them, and push the tag $(VERSION); continuous integration tests and publishes it."

clean:
	rm -rf build $(VENV)
