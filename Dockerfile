# Two images from one source:
#   docker build -t resinit .                     TensorFlow for the CPU (the last stage)
#   docker build -t resinit:cuda --target cuda .  TensorFlow for NVIDIA GPUs, x86-64 only
ARG BASE=docker.io/library/node:24-bookworm-slim

# Base of both images. The service writes only to /data and /tmp, so all else may be read-only.
FROM ${BASE} AS runtime
ENV NODE_ENV=production HOST=0.0.0.0 PORT=8080 DATA_DIR=/data
WORKDIR /app
RUN install -d -o node -g node /data
VOLUME /data
EXPOSE 8080
# The user node, as a number so that Kubernetes can see it is not root (runAsNonRoot).
USER 1000:1000
# /livez, not /readyz: a service that still builds its models is healthy. The slim image has no curl, hence node.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/livez`).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# Exec form: node is process 1 and receives SIGTERM.
CMD ["node", "dist/main.js"]

# Production packages, in a stage that can also download and compile libtensorflow's binding.
FROM ${BASE} AS dependencies
# Unpinned: Debian keeps only the newest version of a package.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends g++ python3 python3-pip \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# Removes files of packages for editors, browsers, bundlers and tests; docs/deploy.md lists the sizes. Node loads only
# *.node.js of TensorFlow.js, and single files of tfjs-core. core-js is used only by its browser build.
RUN --mount=type=cache,target=/var/cache/npm npm ci --cache /var/cache/npm --omit=dev --no-audit --no-fund \
 && find node_modules -type f \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' \) -delete \
 && for package in tfjs tfjs-layers tfjs-converter tfjs-data tfjs-backend-cpu tfjs-backend-webgl; do \
      find "node_modules/@tensorflow/$package" -type f -name '*.js' ! -name '*.node.js' -delete; \
    done \
 && find node_modules/@tensorflow/tfjs-core/dist -type f \( -name '*_test.js' -o -name 'tf-core*.js' \) ! -name '*.node.js' -delete \
 && rm -rf node_modules/core-js node_modules/@opentelemetry/*/build/es* node_modules/@opentelemetry/*/dist/*.mjs \
 && find node_modules -depth -type d \( -name test -o -name tests -o -name examples -o -name docs \) ! -path '*/dist/*' -exec rm -r {} +
COPY native native
# node_modules links to the libraries by this path, so it must be the same in the final image.
ENV RESINIT_CACHE=/opt/resinit

# Only the binding's compilation needs the headers; the symbol tables take 0.2 GB and serve debuggers.
FROM dependencies AS native-cpu
RUN node native/cli.mjs cpu \
 && rm -r /opt/resinit/libtensorflow/*/include \
 && strip /opt/resinit/libtensorflow/*/lib/libtensorflow_*.so.2

# CUDA's libraries are wheels, so only the host's driver is needed and no CUDA base image. It has not been run on a GPU yet.
FROM dependencies AS native-cuda
RUN node native/cli.mjs cuda \
 && rm -r /opt/resinit/libtensorflow/*/include \
 && strip /opt/resinit/libtensorflow/*/lib/libtensorflow_*.so.2

FROM ${BASE} AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN --mount=type=cache,target=/var/cache/npm npm ci --cache /var/cache/npm --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY page page
COPY src src
RUN npm run build && rm -f dist/.tsbuildinfo

# Layers are ordered by size and frequency of change: a change of the source replaces only dist.
FROM runtime AS cuda
# The container toolkit mounts the driver if this variable is set.
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=native-cuda /opt/resinit/libtensorflow /opt/resinit/libtensorflow
COPY --from=native-cuda /app/node_modules node_modules
COPY LICENSE NOTICE package.json ./
COPY --from=build /app/dist dist

FROM runtime AS cpu
COPY --from=native-cpu /opt/resinit/libtensorflow /opt/resinit/libtensorflow
COPY --from=native-cpu /app/node_modules node_modules
COPY LICENSE NOTICE package.json ./
COPY --from=build /app/dist dist
