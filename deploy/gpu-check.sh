#!/usr/bin/env bash
# Proves on a machine with an NVIDIA GPU, in one command, that the engine computes on it: the device it says and the
# memory the driver counts, the CPU's seal and logits, and how many images a second. Needs what `npm ci` installs.
set -euo pipefail
cd "$(dirname "$0")/.."
fail() {
  echo "gpu-check: $1" >&2
  exit 1
}
command -v nvidia-smi >/dev/null ||
  fail 'there is no NVIDIA driver here (no nvidia-smi); run this on a machine with a GPU, in a container with --gpus all'
gpus=$(nvidia-smi -L 2>&1) || fail "the NVIDIA driver does not answer ($gpus); see whether nvidia-smi works"
[[ $gpus == GPU* ]] || fail 'the NVIDIA driver shows no GPU; see CUDA_VISIBLE_DEVICES and NVIDIA_VISIBLE_DEVICES'
echo "$gpus"
export RESINIT_NATIVE=cuda
node native/cli.mjs ensure
npx tsc -p tsconfig.build.json
exec node bench/parts/gpu.mjs
