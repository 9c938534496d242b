PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test bench style clean

run: .venv/run.stamp
	$(BIN)/streamlit run dashboard.py --server.address 127.0.0.1

test: .venv/test.stamp style
	$(BIN)/python -m pytest -n 2 --dist loadgroup

bench: .venv/test.stamp
	$(BIN)/python -m bench

style: .venv/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

clean:
	rm -rf .venv

.venv/run.stamp: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.venv/test.stamp: requirements-test.txt .venv/run.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-test.txt
	touch $@
