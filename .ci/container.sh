#!/usr/bin/env bash
#   container.sh        builds the Dockerfile's cpu image and runs it as a cluster would: no root, no capabilities,
#                       read-only, 2 GB
#   container.sh base   only brings the tools and the base image, which a later run finds
# Needs Debian, root, Node and pip; podman is installed if it is missing.
#
# The base is a stand-in for the official Node image unless BASE names one: the same Debian with Node of the same
# major from npm, so no image registry is needed. It proves the Dockerfile, not the official image's own bits.
set -euo pipefail
cd "$(dirname "$0")/.."

node_major=24
image=localhost/resinit:ci-$$
container=resinit-ci-$$
base=${BASE:-localhost/resinit-ci-base:$node_major}
work=$(mktemp -d /var/tmp/resinit-container.XXXXXX)

clean_up() {
  podman rm -f -t 1 "$container"
  podman rmi -f "$image" "$image-changed"
  # Layers of the other stages.
  podman image prune -f
  rm -rf "$work"
} >/dev/null 2>&1
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() { echo "container: $*" >&2; exit 1; }

# step NAME COMMAND...: one line with the time; the command's own output only if it fails.
step() {
  local name=$1 start=$SECONDS
  shift
  "$@" </dev/null >"$work/log" 2>&1 || { tail -n 200 "$work/log" >&2; fail "$name failed"; }
  echo "container: $name, $((SECONDS - start)) s"
}

((EUID == 0)) || fail 'run it as root: it builds a Debian root with debootstrap'

install_tools() {
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
}
missing=()
for tool in podman runc conmon debootstrap; do
  [[ $(PATH=$PATH:/usr/sbin:/sbin command -v "$tool") || -x /usr/libexec/podman/$tool ]] || missing+=("$tool")
done
((${#missing[@]} == 0)) || step "installing ${missing[*]}" install_tools

# A file of its own and not /etc. Containers may run inside a container: with cgroups of either version (runc),
# without systemd, and without the right to raise limits over the default.
cat >"$work/containers.conf" <<'CONF'
[containers]
default_ulimits = ["nofile=16384:16384", "nproc=16384:16384"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
CONF
export CONTAINERS_CONF=$work/containers.conf DISABLE_HC_SYSTEMD=true

# What this machine needs to reach its package indexes is mounted into RUN steps, so that no layer holds it.
setting() { local value; value=$("$@" 2>/dev/null) && [[ $value != null && $value != undefined ]] && echo "$value"; }
: >"$work/npmrc"
printf '[global]\n' >"$work/pip.conf"
mounts=()
ca=$(setting npm config get cafile || echo "${NODE_EXTRA_CA_CERTS:-/etc/ssl/certs/ca-certificates.crt}")
if [[ -r $ca ]]; then
  echo 'cafile=/run/ci-ca.crt' >>"$work/npmrc"
  echo 'cert = /run/ci-ca.crt' >>"$work/pip.conf"
  mounts+=(-v "$ca:/run/ci-ca.crt:ro")
fi
registry=$(setting npm config get registry) && echo "registry=$registry" >>"$work/npmrc"
for key in index-url extra-index-url trusted-host; do
  variable=PIP_${key^^}
  variable=${variable//-/_}
  value=${!variable:-$(setting python3 -m pip config get "global.$key" || true)}
  [[ -z $value ]] || echo "$key = $value" >>"$work/pip.conf"
done
mounts+=(-v "$work/npmrc:/usr/local/etc/npmrc:ro" -v "$work/pip.conf:/etc/pip.conf:ro")
chmod 755 "$work" && chmod 644 "$work/npmrc" "$work/pip.conf"

make_base() {
  local root=$work/root
  debootstrap --variant=minbase bookworm "$root"
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale}/*
  rm -f "$root"/etc/resolv.conf "$root"/etc/hostname
  # Perhaps another major than this machine's: the package holds nodejs.org's binary.
  npm install --prefix "$work/node" --no-save --no-audit --no-fund "node-linux-$(node -p process.arch)@$node_major"
  mkdir -p "$root"/usr/local/{bin,etc,lib/node_modules}
  cp "$work"/node/node_modules/node-linux-*/bin/node "$root/usr/local/bin/node"
  cp -a "$(npm root -g)/npm" "$root/usr/local/lib/node_modules/"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$root/usr/local/bin/npm"
  chroot "$root" groupadd --gid 1000 node
  chroot "$root" useradd --uid 1000 --gid node --shell /bin/bash --create-home node
  # The official image's entrypoint in short: what is no program is given to node.
  # shellcheck disable=SC2016
  printf '#!/bin/sh\nset -e\ncommand -v "$1" >/dev/null || set -- node "$@"\nexec "$@"\n' >"$root/usr/local/bin/docker-entrypoint.sh"
  chmod 755 "$root/usr/local/bin/docker-entrypoint.sh"
  tar -C "$root" --numeric-owner --one-file-system -cf - . | podman import \
    -c 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
    -c 'ENTRYPOINT ["docker-entrypoint.sh"]' -c 'CMD ["node"]' - "$base"
  rm -rf "$root" "$work/node"
}
podman image exists "$base" || { [[ -z ${BASE:-} ]] && step "stand-in base $base" make_base; }
[[ ${1:-} != base ]] || exit 0

# chroot isolation: RUN steps use this machine's network. The docker format keeps HEALTHCHECK, OCI's drops it.
build() {
  podman build --target cpu --build-arg BASE="$base" -t "$1" \
    --format docker --pull=never --isolation chroot --network host --layers "${mounts[@]}" "$2"
}
step 'build of the cpu image' build "$image" .
podman history --format '{{.Size}} {{.CreatedBy}}' "$image" | awk '$1 ~ /[1-9]/ && $2 ~ /[MG]B/' | cut -c1-100 | sed 's/^/container: /'
bytes=$(podman image inspect -f '{{.Size}}' "$image")
echo "container: the image has $((bytes / 1000000)) MB"
((bytes < 1000000000)) || fail 'the image has grown beyond 1000 MB: docs/deploy.md says what is in it'

# A change of the source changes the last layer alone.
mkdir "$work/context"
cp -a Dockerfile .dockerignore LICENSE NOTICE .npmrc package.json package-lock.json tsconfig.json tsconfig.build.json native page src "$work/context/"
echo '// Changed.' >>"$work/context/src/version.ts"
step 'build after a change of the source' build "$image-changed" "$work/context"
layers() { podman image inspect -f '{{range .RootFS.Layers}}{{println .}}{{end}}' "$1" | grep .; }
[[ $(diff <(layers "$image") <(layers "$image-changed") | grep -c '^>') == 1 ]] || fail 'a change of the source changes more than one layer'
[[ $(layers "$image" | head -n -1) == "$(layers "$image-changed" | head -n -1)" ]] || fail 'a change of the source changes not the last layer'

start_container() {
  podman run -d --name "$container" --pull never --network none -e ALLOW_ANONYMOUS=true \
    --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges --memory 2g --pids-limit 256 \
    -v "$PWD/test/fixtures/flower.jpg:/photograph.jpg:ro" "$image"
}
# Inside the container, which has no network but its own loopback.
exercise() {
  podman exec -i "$container" node --input-type=module - /photograph.jpg <<'JS' || { podman logs "$container"; return 1; }
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

const address = `http://127.0.0.1:${process.env.PORT}`

/** @param {string} path @param {RequestInit} [request] */
async function call(path, request) {
  const answer = await fetch(`${address}${path}`, request)
  const body = await answer.json()
  assert.ok(answer.ok, `${path} answered ${answer.status}: ${JSON.stringify(body)}`)
  return body
}

async function isReady() {
  try {
    return (await fetch(`${address}/readyz`)).ok
  } catch {
    return false
  }
}

const start = Date.now()
while (!(await isReady())) {
  assert.ok(Date.now() - start < 60_000, '/readyz was not 200 within 60 s')
  await sleep(200)
}

const model = await call('/v1/models', {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ architecture: 'resnet20', initializers: { kernel: 'he_normal' }, seed: 7, name: 'photographs' }),
})
assert.equal(model.state, 'ready')

const { predictions } = await call('/v1/models/photographs/predict?top_k=3', {
  method: 'POST',
  headers: { 'content-type': 'image/jpeg' },
  body: await readFile(process.argv[2]),
})
assert.equal(predictions.length, 1)
const [{ classes, finite, image }] = predictions
assert.equal(finite, true)
assert.equal(image.format, 'jpeg')
assert.equal(classes.length, 3)
for (const { probability } of classes) assert.ok(probability > 0 && probability <= 1)

// The other child: draws and tests, and eager TensorFlow.js with gradients.
const { totals } = await call('/v1/models/photographs/statistics')
assert.deepEqual(totals.flagged, [])
const { verdict } = await call('/v1/models/photographs/signals', {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ input: 'gaussian', batch_size: 2, repeats: 2 }),
})
assert.match(verdict, /stable|undecided|exploding|vanishing/)

console.log(`resnet20, seal ${model.seal}`)
console.log(`a ${image.width}x${image.height} photograph: ${JSON.stringify(classes)}`)
JS
}
step 'start' start_container
step 'ready, a model, a prediction' exercise
sed 's/^/container: /' "$work/log"

user=$(podman exec "$container" id -u)
[[ $user != 0 ]] || fail 'it runs as root'
[[ $(podman exec "$container" cat /proc/1/cmdline | tr '\0' ' ') == 'node dist/main.js ' ]] || fail 'process 1 is not node'
podman exec "$container" touch /app/x 2>/dev/null && fail 'its root file system can be written'
podman exec "$container" node -e 'process.exit(process.versions.node.startsWith(process.argv[1] + ".") ? 0 : 1)' "$node_major" \
  || fail "its Node is not $node_major"
echo "container: user $user, process 1 is node, the root is read-only"

step 'HEALTHCHECK' podman healthcheck run "$container"
step 'SIGTERM' podman stop -t 30 "$container"
code=$(podman inspect -f '{{.State.ExitCode}}' "$container")
[[ $code == 0 ]] || { podman logs "$container" >&2; fail "SIGTERM ended it with exit code $code"; }
echo "container: SIGTERM ended it with exit code 0, all passed in $SECONDS s"
