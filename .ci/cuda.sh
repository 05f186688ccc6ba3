#!/usr/bin/env bash
# Holds the CUDA flavour against the CPU's on a machine without a GPU: every CUDA library loads, and ResNet-50 has the
# same seal and the same logits. Downloads 3.4 GB into a cache of its own, so no part of run.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
service=
trap '[[ -z $service ]] || kill "$service" 2>/dev/null || true; rm -rf "$scratch"' EXIT
port=${PORT:-18086}
address=http://127.0.0.1:$port
specification='{"architecture": "resnet50", "initializers": {"kernel": "he_normal"}, "seed": 7, "name": "net"}'

# answers FLAVOUR: lays the flavour in a copy of the checkout; the model and its prediction go to files of that name.
answers() {
  local copy=$scratch/copy-$1
  git clone -q . "$copy"
  cd "$copy"
  npm ci --no-audit --no-fund >/dev/null
  export RESINIT_NATIVE=$1
  [[ $1 != cuda ]] || export RESINIT_CACHE=$scratch/cache
  node native/cli.mjs "$1"
  node native/cli.mjs doctor | tee "$scratch/doctor-$1"
  npx tsc -p tsconfig.build.json
  PORT=$port DATA_DIR=$scratch/data-$1 LOG_LEVEL=warn node dist/main.js 2>"$scratch/log-$1" &
  service=$!
  curl -fsS --retry 60 --retry-delay 1 --retry-all-errors -o /dev/null "$address/readyz" 2>/dev/null
  curl -fsS "$address/v1/models" -H 'Content-Type: application/json' -d "$specification" -o "$scratch/model-$1.json"
  curl -fsS "$address/v1/models/net/predict?include=logits&batch=false" -H 'Content-Type: image/jpeg' \
    --data-binary @test/fixtures/flower.jpg -o "$scratch/prediction-$1.json"
  kill "$service"
  wait "$service"
  service=
  cd - >/dev/null
}
answers cpu
answers cuda
[[ $(grep -c 'loads$' "$scratch/doctor-cuda") == 12 ]] || { echo 'not every CUDA library loads'; exit 1; }
grep '^no GPU since' "$scratch/doctor-cuda" || { echo 'the doctor does not say why there is no GPU'; exit 1; }
# What those open in turn: only the driver's own libraries may be missing, which come with the driver.
unresolved=$(find "$scratch"/cache/libtensorflow/*/{lib,nvidia} -name '*.so*' -type f -exec ldd {} + 2>/dev/null |
  awk '/not found/ { print $1 }' | sort -u | grep -vxE 'lib(cuda|nvidia-ml)\.so\.1' || true)
[[ -z $unresolved ]] || { echo "nothing resolves $unresolved"; exit 1; }
echo "$(find "$scratch"/cache/libtensorflow/*/{lib,nvidia} -name '*.so*' -type f | wc -l) libraries resolve, but for the driver's"

node - "$scratch" <<'JS'
const assert = require('node:assert/strict')
const { readFileSync } = require('node:fs')
const [cpu, cuda] = ['cpu', 'cuda'].map((flavour) =>
  ['model', 'prediction'].map((name) => JSON.parse(readFileSync(`${process.argv[2]}/${name}-${flavour}.json`, 'utf8'))),
)
assert.equal(cuda[0].seal, cpu[0].seal)
assert.deepEqual(cuda[1].predictions[0].logits, cpu[1].predictions[0].logits)
console.log(`the same seal and logits to the bit; the CUDA flavour ran on the ${cuda[0].engine.device}`)
JS
