# One-word verbs. The first two need nothing but Python >= 3.11, git and make; a second call installs nothing.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
STAMP   = $(VENV)/.installed
export PATH := $(abspath $(BIN)):$(PATH)

ENGINE ?= .venv-engine

.PHONY: gpu rehearse run engine test check faults portable browser docs audit ui clean install

run: $(STAMP)  ## the whole pipeline on params.yaml: videos in, trained model and score out
	@python -m flows.run

test: $(STAMP)  ## all quick tests that need neither a GPU nor a network
	@OMP_NUM_THREADS=1 python -m pytest -n 2 --dist loadgroup --no-loadscope-reorder -m "not faults and not slow and not browser"

faults: $(STAMP)  ## kills, cancels, stale clones and slow clusters: the long campaign
	@EGOVLM_SLOW=1 python -m pytest -m "faults or slow"

portable: $(STAMP)  ## the quick tests under other CPU kernels, threads, encoders, time zones and locales; two hours
	@python -m benchmarks.portable

rehearse: $(STAMP)  ## the full profile on two CPU cores and no network, with stand-ins; ten minutes, a page at the end
	@python -m benchmarks.rehearsal

gpu: $(STAMP)  ## the acceptance kit for a GPU: fit, equal, how fast, at what cost; a page and a JSON to send with a report
	@EGOVLM_REQUIRE_GPU=1 python -m benchmarks.acceptance

browser: $(STAMP)  ## the report page in the Chromium of this machine
	@python -m pytest -m browser

check: $(STAMP)  ## types and style
	ruff check . && ruff format --check . && mypy

docs: $(STAMP)  ## the site, into docs/_build/html; a broken link fails
	@python -m sphinx -qnW --keep-going docs docs/_build/html && echo docs/_build/html/index.html

audit: $(STAMP)  ## known vulnerabilities of the pinned packages; asks an advisory service
	@pip-audit -r constraints.txt --no-deps --disable-pip --vulnerability-service osv

ui: $(STAMP)  ## Prefect server, work pools, deployments and workers on this machine
	@python -m flows.service.ui

install: $(STAMP)

engine: $(ENGINE)/installed  ## vLLM in an environment of its own, for `rollout: vllm` and `backend: vllm`

$(ENGINE)/installed: pipeline/engine/inside/cpu.txt pipeline/engine/inside/cuda.txt
	@$(PYTHON) pipeline/engine/inside/install.py $(ENGINE)

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "egovlm: installing the pinned packages into $(VENV), once: 3 to 15 minutes, 3 GB on disk (more with CUDA: see README)"
	@$(BIN)/python -m pip install --disable-pip-version-check --prefer-binary -c constraints.txt -e '.[browser,dev,docs,plots,ray]'
	@$(BIN)/python -m flows.dvc.plots_page
	@touch $(STAMP)

clean:  ## delete all products (data/, DVC cache); keeps code, reports in git and the environment
	rm -rf data/raw data/questions data/frames data/keyframes data/dataset data/models data/predictions data/checkpoints .dvc/cache .dvc/tmp wandb
