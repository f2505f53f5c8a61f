# Every target sets up what it needs. Choose the interpreter with `make PYTHON=python3.12 …`.
PYTHON ?= python3
VENV := .venv
PEERS := .venv-peers
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt
export PYTHON

# What pytest is given: nothing but options that spread all tests over the cores, or a choice, as in
# make test TESTS="tests/data/test_formats.py -x".
TESTS ?= --numprocesses auto --maxprocesses 4 --dist loadfile

.PHONY: help install demo test oldest newest lint docs audit dist benchmark clean

help:
	@echo "make install   make .venv with the package and a Qt backend"
	@echo "make demo      run the whole tutorial and show the result in napari"
	@echo "make test      run every test, those of the viewer included; TESTS=tests/data runs some"
	@echo "make oldest    run every test with the oldest versions that pyproject.toml allows; make newest with the newest"
	@echo "make lint      check style, types, imports, manifest and spelling"
	@echo "make docs      build the documentation in site/; warnings are errors"
	@echo "make audit     look for known vulnerabilities of the pinned versions"
	@echo "make dist      build and check what is published, and test the wheel"
	@echo "make benchmark measure speed beside qim3d and MONAI and write benchmarks/RESULTS.md; half an hour"
	@echo "make clean     remove what these commands made"

install: $(VENV)/installed
	@tools/system-packages --tell display
	@echo "Installed. Start napari with $(BIN)/napari, the command with $(BIN)/napari-unet3d."

demo: $(VENV)/installed
	tools/system-packages display
	$(BIN)/napari-unet3d demo demo --overwrite

test: $(VENV)/installed-test
	NAPARI_STRICT_QT=1 OMP_NUM_THREADS=1 tools/with-display $(BIN)/python -m pytest $(TESTS)

oldest newest: $(BIN)/uv
	tools/test-versions $@ $(TESTS)

lint: $(VENV)/installed-dev
	tools/system-packages window
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/npe2 validate --imports src/napari_unet3d/napari.yaml
	$(BIN)/typos
	$(BIN)/zizmor --offline --quiet .github
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/bug.yml .github/ISSUE_TEMPLATE/feature.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.citation-file-format CITATION.cff
	$(BIN)/repo-review .
	$(BIN)/python tools/audit.py

docs: $(VENV)/installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "Open site/index.html."

audit: $(VENV)/installed-dev
	$(BIN)/python tools/audit.py

# The sources are packed first, and the wheel is made of them, so that both are complete.
dist: $(VENV)/installed-release
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*
	@[ -n "$$GITHUB_REPOSITORY" ] || echo "Without GITHUB_REPOSITORY=owner/name, links of README lead nowhere on PyPI: not for publishing."
	$(BIN)/check-wheel-contents dist/*.whl
	tools/test-wheel dist/*.whl

benchmark: $(VENV)/installed $(PEERS)/installed
	tools/with-display $(BIN)/python benchmarks/run.py --qim3d-python $(PEERS)/bin/python

clean:
	rm -rf $(VENV) $(PEERS) .venv-oldest .venv-newest .venv-bioimageio .venv-nnunet build dist site demo .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The link to the interpreter is missing, or dangles after an upgrade of Python: begin anew.
$(BIN)/python:
	tools/system-packages venv
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; try make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv --clear $(VENV)

# Stamps, one per set of packages: pip runs again only when the project file or the pins have changed.
$(VENV)/installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP_INSTALL) --editable ".[all]"
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(PIP_INSTALL) --editable ".[all,test]"
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(PIP_INSTALL) --editable ".[dev]"
	touch $@

$(VENV)/installed-docs: $(VENV)/installed
	$(PIP_INSTALL) --editable ".[all,docs]"
	touch $@

$(VENV)/installed-release: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP_INSTALL) --editable ".[release]"
	touch $@

# It resolves the versions for `make oldest` and `make newest`.
$(BIN)/uv: constraints.txt | $(BIN)/python
	$(PIP_INSTALL) uv
	touch $@

# What the benchmarks compare with; apart, since it pins other versions of what we use.
$(PEERS)/installed:
	tools/system-packages venv
	$(PYTHON) -m venv --clear $(PEERS)
	$(PEERS)/bin/python -m pip install --disable-pip-version-check "qim3d[deep-learning,synthetic-data]==1.5.3"
	touch $@
