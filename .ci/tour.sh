#!/usr/bin/env bash
# Runs the README's tour as it is written, restart included, and checks what it promises.
set -euo pipefail
cd "$(dirname "$0")/.."
SCRATCH=$(mktemp -d)
free_port='const server = require("node:net").createServer()
server.listen(0, "127.0.0.1", () => { console.log(server.address().port); server.close() })'
PORT=${PORT:-$(node -e "$free_port")}
export PORT DATA_DIR=$SCRATCH/data LOG_LEVEL=warn
export RESINIT=http://127.0.0.1:$PORT
SERVICE=
trap '[ -z "$SERVICE" ] || kill "$SERVICE" 2>/dev/null || true; rm -rf "$SCRATCH"' EXIT

start() {
  npm start >"$SCRATCH/service.log" 2>&1 &
  SERVICE=$!
  for ((second = 0; second < 300; second++)); do
    curl -fsS -o /dev/null "$RESINIT/readyz" 2>/dev/null && return
    kill -0 "$SERVICE" 2>/dev/null || break
    sleep 1
  done
  cat "$SCRATCH/service.log"
  return 1
}

stop() {
  kill "$SERVICE"
  wait "$SERVICE" || { echo "the service ended with $?"; return 1; }
  SERVICE=
}

# Blocks between <!-- $1 --> and <!-- /tour -->, less their fences.
blocks() {
  sed -n "/^<!-- $1 -->\$/,/^<!-- \/tour -->\$/p" README.md | grep -v -e '^```' -e '^<!--'
}

# Runs blocks with the repository's files at hand and the answers in the scratch folder.
run() {
  blocks "$1" | sed -E "s# -o ([a-z-]+\.json)# -o $SCRATCH/\1#" >"$SCRATCH/tour.sh"
  bash -euo pipefail "$SCRATCH/tour.sh"
}

start
run tour
stop
start
run 'tour restart'
stop

node - "$SCRATCH" <<'JS'
const assert = require('node:assert/strict')
const { readFileSync } = require('node:fs')
const read = (name) => JSON.parse(readFileSync(`${process.argv[2]}/${name}.json`, 'utf8'))
const [plan, model, before, after, statistics, sealed, again, refused] = [
  'plan', 'model', 'before', 'after', 'statistics', 'sealed', 'sealed-again', 'refused',
].map(read)
assert.equal(plan.id, model.id)
assert.equal(before.weights, 'initialized')
assert.equal(before.predictions[0].classes.length, 5)
assert.deepEqual(after.predictions[0].logits, before.predictions[0].logits)
assert.equal(statistics.totals.size, 125139048)
assert.equal(statistics.totals.sha256, sealed.weights_sha256)
assert.equal(again.seal, model.seal)
assert.equal(again.weights_sha256, sealed.weights_sha256)
assert.equal(refused.code, 'SHAPE_MISMATCH')
assert.match(refused.detail, /stage2\/block1.*56x56x128.*112x112x64/)
console.log('the tour holds')
JS
