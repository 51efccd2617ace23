#!/usr/bin/env bash
# Makes .venv, installs curate, and runs the checks and the tests; --all adds the slow ones. Other arguments go to pytest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source infra/install.sh
install_extras clip,onnx,ocr,safety,demo,dev
select=(-m "not slow")
if [ "${1:-}" = "--all" ]; then
  select=()
  shift
fi
.venv/bin/ruff format --check .
.venv/bin/ruff check .
.venv/bin/mypy
.venv/bin/python -m pytest -n 2 --dist loadfile "${select[@]}" "$@"
