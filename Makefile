# The few commands there are. Each makes .venv first, which takes some minutes once.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
# A process of tests for each core: every test computes on one thread.
TOGETHER := -n logical --dist worksteal

.PHONY: demo test test-slow lint bench docs

demo: $(READY)
	@$(BIN)/python examples/demo.py

test: $(READY)
	$(BIN)/pytest $(TOGETHER)

test-slow: $(READY)
	$(BIN)/pytest -m slow $(TOGETHER)

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

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
	@echo "What needs CIFAR-10 is not measured: say where both of its layouts are by TINYSIGHT_DATA_DIR."
endif

# Writes the site to site/. The tools are not in $(READY), since only this target needs them.
docs: $(READY)
	$(BIN)/pip install --quiet -c constraints.txt -e '.[docs]'
	$(BIN)/python docs/generate_reference.py
	$(BIN)/mkdocs build --strict

$(READY): pyproject.toml constraints.txt
	@echo "Installing into .venv; this takes some minutes, and nothing is shown meanwhile."
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev,audit,explain,keras,onnx,scale,serve]'
	touch $@
