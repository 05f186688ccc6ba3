import { totalmem } from 'node:os'
import Type, { type Static } from 'typebox'
import { checker } from './common/validation.ts'

const integer = (value: number, description: string, minimum = 1) =>
  Type.Integer({ minimum, default: value, description })

/** How rates are written, here and in the file of keys. */
export const RATE = {
  pattern: '^(off|[1-9][0-9]{0,8}/(second|minute|hour))$',
  examples: ['600/minute', 'off'],
}
const ORIGIN = 'https?://[a-z0-9.-]+(:[0-9]+)?|https?://\\[[0-9a-f:]+\\](:[0-9]+)?'

/** What stops the start; its sentence names the setting. */
export class SettingError extends Error {}

/** Node's timers take no longer ones: they would fire at once. */
const milliseconds = (value: number, description: string) =>
  Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1, default: value, description })

/** A part of the memory this process may use: the container's limit, where there is one. */
function shareOfMemory(share: number): number {
  const limit = process.constrainedMemory()
  const total = totalmem()
  return Math.floor((limit > 0 && limit < total ? limit : total) * share)
}

const Settings = Type.Object({
  HOST: Type.String({
    default: '127.0.0.1',
    description: 'Address to listen on; wider than loopback it asks for a key',
  }),
  PORT: Type.Integer({ minimum: 0, maximum: 65535, default: 8080, description: 'Port to listen on' }),
  DATA_DIR: Type.String({ minLength: 1, default: './data', description: 'Where models are kept' }),
  API_KEYS_FILE: Type.Optional(
    Type.String({ description: 'Keys and what each may do, a line each; "npm run key" makes one' }),
  ),
  PRELOAD: Type.Optional(
    Type.String({
      description:
        'File or folder of specifications, each with a name, that are created before /readyz says yes',
    }),
  ),
  ALLOW_ANONYMOUS: Type.Boolean({ default: false, description: 'Ask for no key, whatever HOST is' }),
  RATE_LIMIT: Type.String({
    ...RATE,
    default: 'off',
    description: 'Requests of a key, or of an address without one, such as 600/minute',
  }),
  CORS_ORIGINS: Type.Optional(
    Type.String({
      pattern: `^(\\*|(${ORIGIN})(,(${ORIGIN}))*)$`,
      examples: ['https://app.example.com,http://localhost:5173', '*'],
      description: 'Origins whose pages may call from a browser, separated by commas, or *',
    }),
  ),
  ENGINES: integer(
    0,
    'Processes that predict, each with all models; 0 for one on each GPU, or on the CPU one, beside which another builds',
    0,
  ),
  MAX_BATCH_SIZE: integer(32, 'Images computed at once'),
  MAX_QUEUE: integer(256, 'Images that may wait'),
  MAX_ANALYSIS_QUEUE: integer(256, 'Questions about weights that may wait'),
  MAX_QUEUE_BYTES: integer(
    268_435_456,
    'Bytes that requests may hold: bodies on their way, images that wait',
  ),
  REQUEST_TIMEOUT_MS: milliseconds(60_000, 'Longest a prediction may take after its body has come, in ms'),
  ENGINE_TIMEOUT_MS: milliseconds(
    300_000,
    'Longest the engine may be silent while it is asked, in ms; then it is killed. A build is one call',
  ),
  ANALYSIS_TIMEOUT_MS: Type.Integer({
    ...{ minimum: 1000, maximum: 2 ** 31 - 1, default: 600_000 },
    description:
      'Longest one step of a question about weights may take, in ms; then the analysis is killed. A large orthogonal kernel is one step',
  }),
  HEAD_TIMEOUT_MS: Type.Integer({
    ...{ minimum: 100, maximum: 300_000, default: 20_000 },
    description: 'Longest the head of a request may take to arrive, in ms',
  }),
  STALL_TIMEOUT_MS: Type.Integer({
    ...{ minimum: 100, maximum: 300_000, default: 20_000 },
    description: 'Longest a body may bring less than 500 bytes a second, in ms',
  }),
  UPLOAD_TIMEOUT_MS: milliseconds(900_000, 'Longest a whole request may take to arrive, in ms'),
  MAX_CONNECTIONS: integer(4096, 'Connections at once; what comes beyond is closed'),
  MAX_BODY_BYTES: integer(
    67_108_864,
    'Largest body; weights files are bound by MAX_MODEL_PARAMETERS instead',
    1024,
  ),
  // Phones take photographs of 8192x6144.
  MAX_IMAGE_PIXELS: integer(52_000_000, 'Largest image in pixels'),
  IMAGE_MEMORY_BYTES: integer(
    // Enough for 50 megapixels of any JPEG, and below 500 MB with the code of the libraries.
    Math.min(420_000_000, shareOfMemory(1 / 7)),
    'Memory of a process that decodes images; default 420 MB, at most a seventh of the memory',
    150_000_000,
  ),
  IMAGE_TIMEOUT_MS: milliseconds(20_000, 'Longest the decoding of one image may take, in ms'),
  MAX_MODEL_PARAMETERS: integer(200_000_000, 'Largest network in parameters'),
  MEMORY_BUDGET_BYTES: integer(
    // The rest is for the processes themselves (0.7 GB), one more model while it is built, and ANALYSIS_MEMORY_BYTES.
    shareOfMemory(1 / 3),
    'Memory of resident models, with graphs and copies of filters; default a third of the memory',
  ),
  ANALYSIS_MEMORY_BYTES: integer(
    shareOfMemory(1 / 4),
    'What signals may take; default a quarter of the memory',
  ),
  MAX_EXPERIMENT_SECONDS: integer(600, 'Longest an experiment may be expected to train, in s'),
  DRAIN_DELAY_MS: Type.Integer({
    ...{ minimum: 0, maximum: 2 ** 30, default: 3000 },
    description: 'After SIGTERM, how long everything is still served while /readyz says no, in ms',
  }),
  SHUTDOWN_TIMEOUT_MS: Type.Integer({
    ...{ minimum: 1, maximum: 2 ** 30, default: 30_000 },
    description: 'Longest a stop may take after that, in ms',
  }),
  OTEL_EXPORTER_OTLP_ENDPOINT: Type.Optional(
    Type.String({
      pattern: '^https?://.',
      description: "Where traces go, over OTLP; OpenTelemetry's other variables are heeded then",
    }),
  ),
  LOG_LEVEL: Type.Enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], {
    default: 'info',
    description: 'pino level',
  }),
})

export type Config = Readonly<Static<typeof Settings>>

const check = checker(Settings, 'text')
const names = Object.keys(Settings.properties) as (keyof Config)[]

/** Reads the settings from the environment; throws a sentence that names the wrong one. */
export function readConfig(environment: Readonly<Record<string, string | undefined>>): Config {
  const given = Object.fromEntries(
    names.flatMap((name) => (environment[name] ? [[name, environment[name]]] : [])),
  )
  const [error] = check(given, '')
  if (error) throw new SettingError(`${error.pointer.slice(1)} ${error.detail}`)
  if (given['API_KEYS_FILE'] !== undefined && given['ALLOW_ANONYMOUS'] === (true as unknown))
    throw new SettingError(
      'ALLOW_ANONYMOUS=true would ask for none of the keys of API_KEYS_FILE; set one of the two',
    )
  return Object.freeze(given) as unknown as Config
}

/** The settings, their defaults and what they do, for --help. */
export function describeSettings(): string {
  const lines = names.map((name) => {
    const { default: value, description } = Settings.properties[name] as {
      default?: string | number | boolean
      description?: string
    }
    return `  ${name.padEnd(22)} ${description ?? ''} (${String(value ?? 'none')})`
  })
  return [
    'resinit: residual networks with chosen initializers over REST',
    '',
    'Settings come from the environment:',
    ...lines,
    '',
  ].join('\n')
}
