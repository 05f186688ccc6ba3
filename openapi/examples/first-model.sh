#!/bin/sh
# Creates a ResNet-18, classifies a photograph, reads the verdict of its statistics and downloads its weights.
set -eu
address=${RESINIT:-http://127.0.0.1:8080}
photograph=$1

call() {
  path=$1
  shift
  answer=$(curl -sS --fail-with-body -H "X-API-Key: ${RESINIT_KEY:-}" "$address$path" "$@") || {
    echo "$answer" >&2
    exit 1
  }
  printf %s "$answer"
}

# The response arrives when the model is ready. The same specification always gives the same model.
model=$(call /v1/models -H 'Content-Type: application/json' -d '{
  "architecture": "resnet18",
  "initializers": {"kernel": "he_normal"},
  "seed": 7,
  "name": "example"
}')
id=${model#*'"id":"'}
echo "model ${id%%'"'*}"

call '/v1/models/example/predict?top_k=1' -H 'Content-Type: image/jpeg' --data-binary "@$photograph"
echo

# Flagged parameters contradict their initializer.
statistics=$(call /v1/models/example/statistics)
case $statistics in
  *'"flagged":[]'*) echo 'verdict: every parameter matches he_normal' ;;
  *) echo "verdict: $statistics" ;;
esac

call /v1/models/example/weights -o example.safetensors
echo "weights: $(wc -c <example.safetensors) bytes"
