#!/usr/bin/env bash
# Runs the commands of the README and of every page as they are written; given pages, those alone. The Pythons that
# RESINIT_PYTHON and RESINIT_TORCH_PYTHON name are made by .ci/run.
set -euo pipefail
cd "$(dirname "$0")/.."
exec node .ci/tour.mjs "$@"
