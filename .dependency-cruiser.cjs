/**
 * What may import what, types included: one table, read from top to bottom. A room sees only the rooms it names
 * (and itself); DESIGN.md says what each is for. `npm run architecture` and test/repo/architecture.test.ts hold it.
 *
 * `packages` are the npm packages a room may import; `builtins` limits Node's own modules where a room is pure.
 */
const PURE = '^(node:)?crypto$'

/** @type {Record<string, { path: string, sees: string[], packages?: string[], builtins?: string }>} */
const rooms = {
  main: { path: 'main.ts', sees: ['config', 'service', 'temporaryDirectory'] },
  key: { path: 'key.ts', sees: ['http'] },
  openapi: { path: 'openapi.ts', sees: ['config', 'http', 'service'] },
  service: {
    path: 'service.ts',
    sees: [
      ...['config', 'http', 'serving', 'metrics', 'machine'],
      ...['engine', 'engineProcess', 'analysis', 'analysisProcess', 'imageDecoder'],
      ...['errors', 'tracing', 'tracingExport'],
    ],
    packages: ['fastify', 'pino'],
  },
  config: { path: 'config.ts', sees: ['validation'], packages: ['typebox'] },
  http: {
    path: 'http/',
    sees: [
      ...['config', 'serving', 'metrics', 'engine', 'analysis', 'experiments', 'images', 'imageDecoder'],
      ...['network', 'initializers', 'statistics', 'formats', 'canonical', 'schema', 'validation', 'json'],
      ...['control', 'errors', 'tracing', 'version'],
    ],
    packages: ['fastify', '@fastify/[^/]+', 'pino', 'typebox'],
  },
  serving: {
    path: 'serving/',
    sees: [
      'engine',
      'engineFootprint',
      'analysis',
      'experiments',
      'workers',
      'network',
      'initializers',
      'formats',
      'schema',
      'validation',
      'json',
      'turns',
      'control',
      'errors',
      'tracing',
      'storageErrors',
    ],
    packages: ['pino', 'typebox'],
  },
  tracing: { path: 'tracing/tracing.ts', sees: [] },
  // Loaded only where traces are collected.
  tracingExport: {
    path: 'tracing/otlp.ts',
    sees: ['tracing', 'version'],
    packages: ['@opentelemetry/[^/]+', 'pino'],
  },
  metrics: { path: 'metrics.ts', sees: ['errors', 'version'], packages: ['prom-client'] },
  // Image files: what is read of them without a library, and the parent half of the processes that decode them.
  images: {
    path: 'images/(image|exif|jpeg|normalized|normalize-jpeg|normalize-png|normalize-webp|png-texts|cost).ts',
    sees: ['errors'],
  },
  imageDecoder: {
    path: 'images/(decoder|decoder-process).ts',
    sees: ['images', 'workers', 'control', 'errors'],
    packages: ['pino'],
  },

  // The contracts, and the halves of them that live in the parent.
  engine: { path: 'engine/engine.ts', sees: ['network'] },
  analysis: {
    path: 'analysis/(analysis|signals|memory|rankings).ts',
    sees: ['network', 'initializers', 'statistics', 'schema', 'control', 'errors'],
    packages: ['typebox'],
  },
  engineProcess: {
    path: 'engine/(apart|pool|several|process|batch-check).ts',
    sees: ['engine', 'engineMemory', 'workers', 'machine', 'network', 'initializers', 'errors'],
    packages: ['pino'],
  },
  engineFootprint: { path: 'engine/footprint.ts', sees: ['network', 'initializers'] },
  // Both ends of it.
  engineMemory: { path: 'engine/batch-memory.ts', sees: ['engine'] },
  analysisProcess: {
    path: 'analysis/(process|queue).ts',
    sees: ['analysis', 'workers', 'machine', 'control', 'errors'],
    packages: ['pino'],
  },
  workers: { path: 'workers/', sees: ['control', 'errors'], packages: ['pino'] },

  // What runs in the children.
  imageChild: {
    path: 'images/(child|decode|place).ts',
    sees: ['images', 'workers', 'errors'],
    packages: ['sharp'],
  },
  engineChild: {
    path: 'engine/(building|gains|values|child|model|models).ts',
    sees: [
      ...['engine', 'engineFootprint', 'engineMemory', 'weights', 'tensorflow', 'workers', 'machine'],
      ...['network', 'initializers', 'formats', 'errors'],
    ],
  },
  // Where both take a network's weights from: drawn in parts, or read from a file.
  weights: {
    path: 'analysis/(sampler|weights).ts',
    sees: [...['analysis', 'tensorflow', 'control'], ...['network', 'initializers', 'statistics', 'formats']],
  },
  analysisChild: {
    path: 'analysis/(child|fits|fit-tensor|isometries|lsuv|saved-model|mean-field|measure-signals|measurer|record|spectra|statistics|training).ts',
    sees: [
      ...['analysis', 'analysisThread', 'weights', 'tensorflow', 'eager', 'workers', 'turns', 'control'],
      ...['experiments', 'network', 'initializers', 'statistics', 'formats', 'errors', 'storageErrors'],
    ],
  },
  // The child's thread: it has no TensorFlow.
  analysisThread: { path: 'analysis/measuring.ts', sees: ['statistics'] },
  eager: {
    path: 'analysis/eager/',
    sees: ['network', 'statistics'],
    packages: ['@tensorflow/tfjs-node-gpu'],
  },
  tensorflow: {
    path: 'engine/tensorflow/',
    sees: ['network', 'initializers', 'errors', 'storageErrors'],
    packages: ['pbf', '@tensorflow/tfjs-node-gpu'],
  },

  // What everything above is about: no process, no file, no clock.
  experiments: {
    path: 'experiments/',
    sees: ['network', 'initializers', 'statistics', 'canonical', 'schema', 'errors'],
    packages: ['typebox'],
    builtins: PURE,
  },
  network: {
    path: 'network/',
    sees: ['initializers', 'canonical', 'schema', 'validation', 'errors'],
    packages: ['typebox'],
    builtins: PURE,
  },
  initializers: {
    path: 'initializers/',
    sees: ['canonical', 'schema', 'validation', 'errors'],
    packages: ['typebox'],
    builtins: PURE,
  },
  statistics: {
    path: 'statistics/',
    sees: ['initializers', 'schema'],
    packages: ['typebox'],
    builtins: PURE,
  },
  formats: { path: 'formats/', sees: ['json', 'errors'] },
  validation: {
    path: 'validation.ts',
    sees: ['errors'],
    packages: ['ajv', 'fastest-levenshtein', 'typebox'],
    builtins: PURE,
  },
  canonical: { path: 'canonical.ts', sees: [], packages: ['typebox'], builtins: PURE },
  json: { path: 'json(-parts)?.ts', sees: ['errors'], builtins: '^(node:)?timers/promises$' },
  schema: { path: 'schema.ts', sees: [], packages: ['typebox'], builtins: PURE },
  errors: { path: 'errors.ts', sees: [], builtins: PURE },
  storageErrors: { path: 'storage-errors.ts', sees: ['errors'], builtins: PURE },
  temporaryDirectory: { path: 'temporary-directory.ts', sees: ['storageErrors'] },
  machine: { path: 'machine.ts', sees: [] },
  turns: { path: 'turns.ts', sees: [] },
  control: { path: 'control.ts', sees: [] },
  version: { path: 'version.ts', sees: [] },
}

/** @param {readonly { path: string }[]} some */
const paths = (some) =>
  some.map(({ path }) => `^src/${path.replaceAll('.', '\\.')}${path.endsWith('/') ? '' : '$'}`)

/** @param {string} name */
function room(name) {
  const found = rooms[name]
  if (found === undefined) throw new Error(`no room ${name}`)
  return found
}

const tensorflowSide = paths([room('tensorflow'), room('engineChild'), room('analysisChild')])

const roomRules = Object.entries(rooms).flatMap(([name, { path, sees, packages = [], builtins }]) => [
  {
    name: `${name}-sees`,
    comment: `${path} may import: ${sees.join(', ') || 'no other room'}.`,
    severity: 'error',
    from: { path: paths([{ path }]) },
    to: { path: '^src/', pathNot: paths([{ path }, ...sees.map(room)]) },
  },
  {
    name: `${name}-packages`,
    comment: `${path} may import these packages: ${packages.join(', ') || 'none'}.`,
    severity: 'error',
    from: { path: paths([{ path }]) },
    to: {
      pathNot: ['^src/', ...packages.map((one) => `(^|/)node_modules/${one}/`)],
      dependencyTypesNot: ['core'],
    },
  },
  ...(builtins === undefined
    ? []
    : [
        {
          name: `${name}-pure`,
          comment: `${path} is pure: of Node it may use what matches ${builtins}.`,
          severity: 'error',
          from: { path: paths([{ path }]) },
          to: { dependencyTypes: ['core'], pathNot: builtins },
        },
      ]),
])

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: /** @type {import('dependency-cruiser').IForbiddenRuleType[]} */ ([
    ...roomRules,
    {
      name: 'known-room',
      comment: 'Every module belongs to a room of the table above.',
      severity: 'error',
      from: {},
      module: {
        path: '^src/.*\\.ts$',
        pathNot: paths(Object.values(rooms)),
        numberOfDependentsLessThan: 100,
      },
    },
    {
      name: 'no-cycle',
      comment: 'Imports have a direction; a cycle has none.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'no-tensorflow-in-parent',
      comment:
        'The process that speaks HTTP never loads libtensorflow: a crash in it must not end the service.',
      severity: 'error',
      from: { path: '^src/(main|openapi)\\.ts$' },
      to: { path: tensorflowSide, reachable: true },
    },
    {
      name: 'no-libvips-in-parent',
      comment: 'Nor does it load libvips: what decodes untrusted bytes can be killed.',
      severity: 'error',
      from: { path: '^src/(main|openapi|engine/child|analysis/child)\\.ts$' },
      to: { path: paths([room('imageChild')]), reachable: true },
    },
    {
      name: 'no-barrel',
      comment: 'A module is imported by its own name.',
      severity: 'error',
      from: {},
      to: { path: '/index\\.[jt]s$', pathNot: 'node_modules' },
    },
    {
      name: 'no-re-export',
      comment: 'Nor is it handed on by another: that is a barrel under another name.',
      severity: 'error',
      from: {},
      to: { dependencyTypes: ['export'] },
    },
    {
      name: 'no-orphan',
      comment: 'A module nobody imports is an entry, or dead.',
      severity: 'error',
      // It is loaded by --import.
      from: { orphan: true, pathNot: '^src/workers/signals\\.ts$' },
      to: {},
    },
    {
      name: 'no-unused-module',
      comment:
        'Every module is part of a process: the service, a child or its thread, what makes a key or openapi.json, what children load first.',
      severity: 'error',
      from: {
        path: '^src/(main|openapi|key|engine/child|images/child|analysis/(child|measuring)|serving/weights-digests|workers/signals)\\.ts$',
      },
      to: {
        path: '^src/',
        pathNot:
          '^src/(main|openapi|key|engine/child|images/child|analysis/(child|measuring)|serving/weights-digests|workers/signals)\\.ts$',
        reachable: false,
      },
    },
    {
      name: 'no-dev-dependency',
      comment: 'What runs in production is a dependency of production.',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev', 'npm-optional', 'npm-no-pkg', 'npm-unknown'] },
    },
    {
      name: 'resolvable',
      comment: 'Every import leads somewhere.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ]),
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: '(^|/)node_modules/' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
    },
  },
}
