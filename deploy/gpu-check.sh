#!/usr/bin/env bash
# Checks that the engine computes on the NVIDIA GPU of this machine: reported device, memory by the driver, the CPU's seal
# and logits, images a second. Run `npm ci` first.
set -euo pipefail
cd "$(dirname "$0")/.."
fail() {
  echo "gpu-check: $1" >&2
  exit 1
}
command -v nvidia-smi >/dev/null ||
  fail 'no NVIDIA driver found (no nvidia-smi); run this on a machine with a GPU, in a container with --gpus all'
gpus=$(nvidia-smi -L 2>&1) || fail "the NVIDIA driver does not respond ($gpus); check nvidia-smi"
[[ $gpus == GPU* ]] || fail 'the NVIDIA driver reports no GPU; check CUDA_VISIBLE_DEVICES and NVIDIA_VISIBLE_DEVICES'
echo "$gpus"
export RESINIT_NATIVE=cuda
node native/cli.mjs ensure
npx tsc -p tsconfig.build.json
exec node bench/parts/gpu.mjs
