# Two images from one source:
#   docker build -t resinit .                     TensorFlow for the CPU (the last stage)
#   docker build -t resinit:cuda --target cuda .  TensorFlow for NVIDIA GPUs, x86-64 only
ARG BASE=docker.io/library/node:24-bookworm-slim

# What both images inherit. A service that only reads its own files: everything but /data and /tmp may be read-only.
FROM ${BASE} AS runtime
ENV NODE_ENV=production HOST=0.0.0.0 PORT=8080 DATA_DIR=/data
WORKDIR /app
RUN install -d -o node -g node /data
VOLUME /data
EXPOSE 8080
# The user node, as a number so that Kubernetes can see it is not root (runAsNonRoot).
USER 1000:1000
# /livez and not /readyz: a service that is still building its models is healthy. slim has no curl, so node asks.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/livez`).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# Exec form: node is process 1 and gets SIGTERM itself.
CMD ["node", "dist/main.js"]

# Production packages, in a stage that can also download and compile libtensorflow's binding.
FROM ${BASE} AS dependencies
# No versions: Debian keeps only the newest of a package, so a pinned one soon cannot be installed.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends g++ python3 python3-pip \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# Packages bring along what an editor, a browser, a bundler or a test reads, and nothing at run time: docs/deploy.md counts.
# Of TensorFlow.js Node loads *.node.js; of tfjs-core single files too. core-js is for its browser build alone.
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

# The headers were for the binding's compiler; the wheel's symbol tables are a fifth of a gigabyte for debuggers.
FROM dependencies AS native-cpu
RUN node native/cli.mjs cpu \
 && rm -r /opt/resinit/libtensorflow/*/include \
 && strip /opt/resinit/libtensorflow/*/lib/libtensorflow_*.so.2

# CUDA's libraries are wheels too: no CUDA base image is needed, only the host's driver. Not proved without a GPU:
# that it runs on one.
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

# Layers go from the largest and steadiest to the smallest: a change of the source replaces dist only.
FROM runtime AS cuda
# The container toolkit mounts the driver for those who ask.
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
