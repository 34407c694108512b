# make demo needs nothing but Python 3.11 or newer; every target is safe to repeat.
#
#   make demo      ask the bundled pages
#   make test      ruff, mypy, import-linter and the tests (offline, on CPU)
#   make test-all  the slow tests too
#   make lint      the checks without the tests
#   make system    Debian packages that a few tests use, where they are missing
#   make clean     remove .venv and caches
#
# PYTHON=python3.12   the interpreter to build .venv from
# PIP_ARGS=...        more options for pip, such as where to find another build of torch

SHELL := /bin/sh
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && exit; \
	done; echo python3)
PIP_ARGS ?=
APT ?= apt-get

VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
CODE := $(wildcard src tests scripts benchmarks examples)

# Chromium renders HTML to pages, LibreOffice office files, DjVuLibre DjVu files; the fonts are those
# that synthetic pages are set in.
PACKAGES := chromium djvulibre-bin libreoffice-calc-nogui libreoffice-impress-nogui libreoffice-writer-nogui \
	fonts-cantarell fonts-comfortaa fonts-crosextra-caladea fonts-crosextra-carlito fonts-dejavu \
	fonts-ebgaramond fonts-firacode fonts-freefont-ttf fonts-hack fonts-lato fonts-liberation \
	fonts-linuxlibertine fonts-noto-core fonts-open-sans fonts-roboto-unhinted

.DEFAULT_GOAL := demo
.PHONY: demo test test-all lint system clean venv

demo: $(READY)
	$(PY) -m tilewise demo

test: lint
	$(PY) -m pytest

test-all: lint
	$(PY) -m pytest -m ""

lint: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy $(CODE)
	$(VENV)/bin/lint-imports --no-logo --no-cache

venv: $(READY)

$(READY): pyproject.toml constraints.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "$(PYTHON) is not Python 3.11 or newer; name one with: make PYTHON=/path/to/python3"; \
		exit 1; }
	@"$(PYTHON)" -m venv $(VENV) || { \
		echo "No virtual environment; on Debian: apt-get install python3-venv, then repeat."; \
		exit 1; }
	@echo "Installing into $(VENV); the first time this downloads PyTorch."
	@$(PY) -m pip install --disable-pip-version-check --quiet $(PIP_ARGS) \
		--constraint constraints.txt --editable '.[dev]'
	@touch $@

system:
	@if ! command -v dpkg-query >/dev/null || ! command -v $(APT) >/dev/null; then \
		echo "This is no Debian. Install by your system's own means, if you want every test to run:"; \
		echo "Chromium, LibreOffice, and the fonts in PACKAGES of this Makefile."; \
		exit 0; \
	fi; \
	missing=; \
	for p in $(PACKAGES); do \
		dpkg-query -W -f '$${Status}' "$$p" 2>/dev/null | grep -q 'ok installed' \
			|| missing="$$missing $$p"; \
	done; \
	[ -n "$$missing" ] || { echo "All system packages are there."; exit 0; }; \
	as=; [ "$$(id -u)" = 0 ] || as=sudo; \
	echo "Installing:$$missing"; \
	$$as $(APT) update -qq; \
	$$as env DEBIAN_FRONTEND=noninteractive $(APT) install -y -qq --no-install-recommends $$missing \
		>/dev/null || { \
		echo "Not installed; tests that need these are skipped:$$missing"; }

clean:
	rm -rf $(VENV) build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
