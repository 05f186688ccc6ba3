#!/usr/bin/env bash
# Holds weights under torchvision's names against torchvision and timm, both ways. Downloads some 3 GB of torch, so no
# part of run. TORCH_PYTHON names a Python that has torch, torchvision, timm,
# safetensors and scikit-learn (for its photographs) already.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
service=
trap '[[ -z $service ]] || kill "$service" 2>/dev/null || true; rm -rf "$scratch"' EXIT
address=http://127.0.0.1:${PORT:=18087}
python=${TORCH_PYTHON:-$scratch/venv/bin/python}

[[ -n ${TORCH_PYTHON:-} ]] || {
  python3 -m venv "$scratch/venv"
  "$python" -m pip install -q --disable-pip-version-check torch torchvision timm safetensors scikit-learn
}
[[ -d node_modules ]] || npm ci --no-audit --no-fund >/dev/null
node native/cli.mjs ensure
npx tsc -p tsconfig.build.json
PORT=$PORT DATA_DIR=$scratch/data LOG_LEVEL=warn node dist/main.js 2>"$scratch/log" &
service=$!
curl -fsS --retry 60 --retry-delay 1 --retry-all-errors -o /dev/null "$address/readyz" 2>/dev/null
"$python" .ci/compare_torch.py "$address"
