SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Which layers demo, prove and lab-up work on: LAYERS=ethereum,data
LAYERS ?= ethereum
comma := ,
layers := $(subst $(comma), ,$(LAYERS))
# Only Ethereum's clients are built from source; other layers run what Debian has.
BUILT := $(if $(filter ethereum,$(layers)),artifacts)
# One case of `make prove`: CASE=geth-killed
CASE ?=
export LAYERS CASE

CACHE   ?= $(HOME)/.cache/chainops
VENV    := $(CURDIR)/.venv
LINK    := $(CURDIR)/.ansible/collections/ansible_collections/chainops/infra
RESULTS := build/results
export CHAINOPS_CACHE := $(CACHE)
export ANSIBLE_INVENTORY := $(subst $() ,$(comma),$(patsubst %,$(CURDIR)/inventories/lab/%.yml,$(layers)))
export PATH := $(VENV)/bin:$(PATH)
export ANSIBLE_HOME := $(CURDIR)/.ansible

.PHONY: help setup demo test prove measured lint unit sanity lab-up lab-down artifacts bench docs clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:[^#]*## /\t/' | column -t -s $$'\t'

setup: $(VENV)/.done $(LINK) ## pinned Python environment, and the checkout visible as chainops.infra

$(VENV)/.done: requirements.txt
	tools/venv $(VENV)
	touch $@

$(LINK):
	mkdir -p $(dir $@)
	ln -sfn ../../../.. $@

artifacts: setup ## build geth and prysm from pinned modules into the cache
	tools/artifacts

lab-up: setup $(BUILT) ## the site on this machine
	tools/lab up

lab-down: setup ## remove the site, whole
	tools/lab down

demo: setup ## the demo site: lab, all roles, status page
	tools/demo

lint: setup ## ansible-lint (production), yamllint, ruff, mypy, shellcheck where installed
	tools/lint

unit: setup ## unit tests
	mkdir -p $(RESULTS)
	pytest tests/unit -n 2 --dist worksteal --junitxml=$(RESULTS)/unit.xml

sanity: setup ## ansible-test sanity, without ignore entries
	tools/sanity

test: ## lint, sanity, unit and the short lab tests of every layer, or of LAYERS
	$(if $(filter file,$(origin LAYERS)),env -u LAYERS) tools/test

prove: setup $(BUILT) ## every promise at full length; CASE=name for one
	tools/prove

measured: setup ## the tables of the pages from build/results/data.json
	$(VENV)/bin/python tools/measured.py

bench: setup ## no-op timings into build/results/bench.json
	tools/bench

docs: setup ## role and plugin pages from their specs
	tools/docs

clean: ## what the build left in this checkout (not the cache)
	rm -rf build
