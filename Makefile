PYTHON ?= python3
BIN := .venv/bin

.PHONY: run check test audit bench page style types browser clean

# Open the dashboard.
run: .venv/run.stamp
	$(BIN)/streamlit run dashboard.py --server.address 127.0.0.1

# Within a minute, for whoever edits: style, types, and the tests that neither train for long nor need a browser.
check: style types
	$(BIN)/python -m pytest -n 2 -m "not browser and not slow and not audit"

# Everything. What is missing is installed, the browser too. One process drives the browser while the other computes.
test: style types browser
	$(BIN)/python -m pytest -n 2 --dist loadgroup

# Every scene of every page, as somebody sees it who does not see: a few minutes.
audit: browser
	$(BIN)/python -m pytest -m audit

bench: .venv/test.stamp
	$(BIN)/python -m bench

# A new page, its experiment and its test: make page NAME=idea, or with CHAPTER=2
page: .venv/run.stamp
	$(BIN)/python -m tools.new_page "$(NAME)" $(CHAPTER)

style: .venv/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/test.stamp
	$(BIN)/mypy

browser: .venv/test.stamp
	$(BIN)/python -m tests.chromium

clean:
	rm -rf .venv

.venv/run.stamp: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.venv/test.stamp: requirements-test.txt .venv/run.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-test.txt
	touch $@
