# Every target creates .venv first, which takes a few minutes the first time.
PYTHON ?= python3
BIN := .venv/bin
EXTRAS := audit,explain,heif,keras,mlflow,onnx,pretrained,scale,serve,tensorboard
READY := .venv/ready
# One test process per core; every test computes on one thread.
TOGETHER := -n logical --dist worksteal

.PHONY: demo test test-all lint bench coverage docs package

demo: $(READY)
	@$(BIN)/python examples/demo.py

test: $(READY)
	$(BIN)/pytest $(TOGETHER)

# The quick and the slow tests in one session, so that no core waits for the other between the two.
test-all: $(READY)
	$(BIN)/pytest -m "slow or not slow" $(TOGETHER)

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# Line and branch coverage of src by the quick tests, file by file.
coverage: $(READY)
	$(BIN)/pytest $(TOGETHER) --cov --cov-report=term:skip-covered

# Builds sdist and wheel into dist/, and runs the wheel in an empty environment.
package: $(READY)
	$(BIN)/python tools/check_package.py

bench: $(READY)
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/augmentation.py
	$(BIN)/python benchmarks/subgroups.py
	$(BIN)/python benchmarks/occlusion.py
ifdef TINYSIGHT_DATA_DIR
	$(BIN)/python benchmarks/load_cifar10.py
	$(BIN)/python benchmarks/near_duplicates.py
	$(BIN)/python benchmarks/label_errors.py
	$(BIN)/python benchmarks/membership.py
	$(BIN)/python benchmarks/unlearning.py
else
	@echo "Benchmarks on CIFAR-10 are skipped: set TINYSIGHT_DATA_DIR to a directory with both of its layouts."
endif

# Writes the site to site/. The tools are not in $(READY), since only this target needs them.
docs: $(READY)
	$(BIN)/python -m pip install --quiet -c constraints.txt --group docs
	$(BIN)/python docs/generate_reference.py
	$(BIN)/mkdocs build --strict

$(READY): pyproject.toml constraints.txt
	@echo "Installing into .venv: this takes a few minutes and prints nothing."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt --upgrade pip  # --group needs pip 25.1
	$(BIN)/python -m pip install --quiet -c constraints.txt --group dev -e '.[$(EXTRAS)]'
	touch $@
