#!/usr/bin/env bash
# Makes .venv, installs curate, and runs the offline demo into ./demo-run. Run it again: it resumes and does nothing twice.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source infra/install.sh
install_extras clip,demo
exec .venv/bin/curate demo "$@"
