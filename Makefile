# Everything here works on a fresh clone with Python 3.11 or newer and the network; nothing is installed outside
# this folder. Environments are .venv-*, everything else that is made goes to build/.
#
#   make demo  [ARGS=--serve]      the demonstration on real flights
#   make test  [PYTHONS="3.12"] [ARGS="-k gate"]   the tests, on the wheel, on every interpreter there is
#   make soak  [ARGS=...]          the tests with full counts, on the default interpreter
#   make torture [ARGS="--seconds 3600"]   every cache read while everybody writes, every answer judged; a minute
#   make bench [ARGS=reads.py]     the benchmarks
#   make lint                      ruff and mypy
#   make format                    ruff, putting right what it can
#   make clean

# Looked for only where used. The first usable interpreter is the default one.
PYTHON = $(shell sh tools/pythons first)
ARGS =
export PYTHONS

.PHONY: help demo test soak torture bench lint format clean
.NOTPARALLEL:

help:
	@sed -n 's/^#   //p' Makefile

demo:
	@"$(PYTHON)" tools/environment.py .venv-demo cli,demo
	@.venv-demo/bin/coeval demo $(ARGS)

test:
	@"$(PYTHON)" tools/test.py $(ARGS)

soak:
	@"$(PYTHON)" tools/test.py --soak $(ARGS)

torture:
	@"$(PYTHON)" tools/environment.py .venv-torture cli,track
	@PYTHONPATH=tests .venv-torture/bin/python -P -m torture $(ARGS)

bench:
	@"$(PYTHON)" tools/environment.py .venv-bench bench,cli
	@.venv-bench/bin/python benchmarks $(ARGS)

lint:
	@"$(PYTHON)" tools/environment.py .venv-lint all,bench,test,lint
	@status=0; for command in \
	  "ruff check ." \
	  "ruff format --check ." \
	  "mypy --strict src" \
	  "mypy --follow-imports=silent --explicit-package-bases tests" \
	  "mypy --follow-imports=silent benchmarks" \
	  "mypy --follow-imports=silent tools" \
	; do echo "== $$command"; .venv-lint/bin/$$command || status=1; done; exit $$status

format:
	@"$(PYTHON)" tools/environment.py .venv-lint all,bench,test,lint
	@.venv-lint/bin/ruff check --fix . ; .venv-lint/bin/ruff format .

clean:
	rm -rf .venv-* build dist .ruff_cache .mypy_cache .pytest_cache .hypothesis
	find src tests benchmarks tools -name __pycache__ -type d -prune -exec rm -rf {} +
