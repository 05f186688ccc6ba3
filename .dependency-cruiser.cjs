/**
 * The import table, types included. A row is a directory of `src` (its modules with or without those of its
 * subdirectories) or a file, and the rows that it may import. A row imports only rows below it, so no import points
 * upward. `npm run architecture` and test/repo/architecture.test.ts check it; docs/architecture.md describes the rows.
 *
 * `packages` are the npm packages that a row may import. A `pure` row may use nothing of Node except `crypto`.
 */
const DOMAIN = ['network/', 'initializers/', 'common/']
const CONTRACTS = ['engine/*', 'analysis/*', 'images/*', 'weights/*']

/** @type {Record<string, { imports: string[], packages?: string[], pure?: true }>} */
const table = {
  'main.ts': { imports: ['service.ts', 'config.ts', 'common/'] },
  'cli/': {
    imports: [
      ...['service.ts', 'http/', 'config.ts'],
      // The verifier draws in its own process.
      ...['analysis/*', 'analysis/worker/', 'tensorflow/', 'formats/', ...DOMAIN],
    ],
  },
  'service.ts': {
    imports: [
      ...['http/', 'serving/', 'engine/client/', 'analysis/client/', 'images/client/', 'weights/client/'],
      ...[...CONTRACTS, 'telemetry/', 'config.ts', 'common/'],
    ],
    packages: ['fastify', 'pino'],
  },
  'http/': {
    imports: [
      ...['serving/', 'images/client/', ...CONTRACTS, 'formats/', 'telemetry/', 'config.ts'],
      ...['experiments/', 'statistics/', ...DOMAIN],
    ],
    packages: ['fastify', '@fastify/[^/]+', 'fastify-plugin', 'pino', 'typebox'],
  },
  'serving/': {
    imports: [...CONTRACTS, 'ipc/', 'formats/', 'telemetry/', 'experiments/', ...DOMAIN],
    packages: ['pino', 'typebox'],
  },
  // The parent's half of each child process.
  'engine/client/': { imports: ['engine/*', 'ipc/', ...DOMAIN], packages: ['pino'] },
  'analysis/client/': { imports: ['analysis/*', 'ipc/', 'common/'], packages: ['pino'] },
  'images/client/': { imports: ['images/*', 'ipc/', 'common/'], packages: ['pino'] },
  'weights/client/': { imports: ['weights/*', 'ipc/', 'common/'], packages: ['pino'] },
  // The children.
  'engine/worker/': { imports: ['engine/*', 'tensorflow/', 'ipc/', 'formats/', ...DOMAIN] },
  'analysis/worker/': {
    imports: [
      ...['analysis/*', 'analysis/worker/eager/', 'tensorflow/', 'ipc/'],
      ...['formats/', 'experiments/', 'statistics/', ...DOMAIN],
    ],
  },
  'analysis/worker/eager/': { imports: ['statistics/', 'network/'], packages: ['@tensorflow/tfjs-node-gpu'] },
  'images/worker/': { imports: ['images/*', 'ipc/', 'common/'], packages: ['sharp'] },
  'weights/worker/': { imports: ['weights/*', 'formats/', 'ipc/', 'common/'] },
  'tensorflow/': {
    imports: ['formats/', 'statistics/', ...DOMAIN],
    packages: ['pbf', '@tensorflow/tfjs-node-gpu'],
  },
  // The contracts, which both halves import.
  'engine/*': { imports: DOMAIN },
  'analysis/*': { imports: ['statistics/', ...DOMAIN], packages: ['typebox'] },
  'images/*': { imports: ['common/'] },
  'weights/*': { imports: ['formats/', 'common/'] },
  'ipc/': { imports: ['common/'], packages: ['pino'] },
  'telemetry/': { imports: ['common/'], packages: ['@opentelemetry/[^/]+', 'prom-client', 'pino'] },
  'config.ts': { imports: ['common/'], packages: ['typebox'] },
  'formats/': { imports: ['common/'], packages: ['h5wasm', 'yauzl'] },
  // The domain: no process, no file, no clock.
  'experiments/': { imports: ['statistics/', ...DOMAIN], packages: ['typebox'], pure: true },
  'network/': { imports: ['initializers/', 'common/'], packages: ['typebox'], pure: true },
  'statistics/': { imports: ['initializers/', 'common/'], packages: ['typebox'], pure: true },
  'initializers/': { imports: ['common/'], packages: ['typebox'], pure: true },
  'common/': { imports: [], packages: ['ajv', 'fastest-levenshtein', 'typebox'] },
}

/** What node or a worker thread starts, or loads before anything else. */
const ENTRIES = [
  ...['main', 'cli/(openapi|key|verify)', '(engine|analysis)/worker/entry'],
  ...['images/worker/decoder-entry', 'weights/worker/reader-entry'],
  ...['analysis/worker/statistics-thread', 'serving/models/weights-digests', 'ipc/process-signals'],
]
const entries = `^src/(${ENTRIES.join('|')})\\.ts$`

/**
 * The modules of a row: those of `directory/` lie in no row that names a subdirectory of it, those of `directory/*` in
 * no subdirectory at all.
 * @param {string} row
 */
function modules(row) {
  if (row.endsWith('.ts')) return `^src/${row.replace('.', '\\.')}$`
  if (row.endsWith('/*')) return `^src/${row.slice(0, -1)}[^/]+$`
  const inner = Object.keys(table).filter(
    (other) => other !== row && other.startsWith(row) && !other.endsWith('*'),
  )
  return inner.length === 0
    ? `^src/${row}`
    : `^src/${row}(?!${inner.map((name) => name.slice(row.length)).join('|')})`
}

const rules = Object.entries(table).flatMap(([row, { imports, packages = [], pure }]) => [
  {
    name: `imports of ${row}`,
    comment: `${row} may import: ${imports.join(', ') || 'nothing else'}.`,
    severity: 'error',
    from: { path: modules(row) },
    to: { path: '^src/', pathNot: [row, ...imports].map(modules) },
  },
  {
    name: `packages of ${row}`,
    comment: `${row} may import these packages: ${packages.join(', ') || 'none'}.`,
    severity: 'error',
    from: { path: modules(row) },
    to: {
      pathNot: ['^src/', ...packages.map((name) => `(^|/)node_modules/${name}/`)],
      dependencyTypesNot: ['core'],
    },
  },
  ...(pure
    ? [
        {
          name: `purity of ${row}`,
          comment: `${row} may use nothing of Node except crypto.`,
          severity: 'error',
          from: { path: modules(row) },
          to: { dependencyTypes: ['core'], pathNot: '^(node:)?crypto$' },
        },
      ]
    : []),
])

/** Within a row: `[from, to]` do not import. */
const LAYERS = [
  ['http/shared/', 'http/(plugins|native|open-inference|tensorflow-serving)/'],
  ['http/plugins/', 'http/(native|open-inference|tensorflow-serving)/'],
  ['http/native/', 'http/(open-inference|tensorflow-serving)/'],
  ['http/open-inference/', 'http/(native|tensorflow-serving)/'],
  ['http/tensorflow-serving/', 'http/(native|open-inference)/'],
  ['serving/prediction/', 'serving/(models|experiments)/'],
]

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: /** @type {import('dependency-cruiser').IForbiddenRuleType[]} */ ([
    ...rules,
    ...LAYERS.map(([from = '', to = '']) => ({
      name: `layers of ${from}`,
      comment: `${from} does not import ${to}.`,
      severity: 'error',
      from: { path: `^src/${from}` },
      to: { path: `^src/${to}` },
    })),
    {
      name: 'known-row',
      comment: 'Every module belongs to a row of the table.',
      severity: 'error',
      from: {},
      module: {
        path: '^src/.*\\.ts$',
        pathNot: Object.keys(table).map(modules),
        numberOfDependentsLessThan: 100,
      },
    },
    {
      name: 'no-cycle',
      comment: 'Imports have one direction.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'no-tensorflow-in-parent',
      comment: 'The HTTP process never loads libtensorflow: a crash in it must not end the service.',
      severity: 'error',
      from: { path: '^src/(main|cli/(openapi|key))\\.ts$' },
      to: { path: '^src/(tensorflow|(engine|analysis)/worker)/', reachable: true },
    },
    {
      name: 'no-libvips-elsewhere',
      comment: 'Only decoder processes load libvips: they can be killed.',
      severity: 'error',
      from: { path: '^src/(main|cli/[^/]+|(engine|analysis)/worker/entry)\\.ts$' },
      to: { path: '^src/images/worker/', reachable: true },
    },
    {
      name: 'no-weights-parser-elsewhere',
      comment: 'Only the weights reader opens untrusted files: it can be killed.',
      severity: 'error',
      from: { path: '^src/(main|cli/[^/]+|(engine|analysis)/worker/entry)\\.ts$' },
      to: { path: '^src/(weights/worker/|formats/open-weights)', reachable: true },
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
      comment: 'A module exports only its own declarations.',
      severity: 'error',
      from: {},
      to: { dependencyTypes: ['export'] },
    },
    {
      name: 'no-unused-module',
      comment: 'Every module is reachable from an entry.',
      severity: 'error',
      from: { path: entries },
      to: { path: '^src/', pathNot: entries, reachable: false },
    },
    {
      name: 'no-dev-dependency',
      comment: 'Production code imports production dependencies only.',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev', 'npm-optional', 'npm-no-pkg', 'npm-unknown'] },
    },
    {
      name: 'resolvable',
      comment: 'Every import resolves.',
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
