import { totalmem } from 'node:os'
import Type, { type Static } from 'typebox'
import { checker } from './common/validation.ts'

const integer = (value: number, description: string, minimum = 1) =>
  Type.Integer({ minimum, default: value, description })

/** The format of rates, here and in API_KEYS_FILE. */
export const RATE = {
  pattern: '^(off|[1-9][0-9]{0,8}/(second|minute|hour))$',
  examples: ['600/minute', 'off'],
}
const ORIGIN = 'https?://[a-z0-9.-]+(:[0-9]+)?|https?://\\[[0-9a-f:]+\\](:[0-9]+)?'

/** An invalid setting, which stops the start. The message names the setting. */
export class SettingError extends Error {}

/** Longer timers of Node would fire at once. */
const milliseconds = (value: number, description: string) =>
  Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1, default: value, description })

/** A share of the container's memory limit, or of the machine's memory without a limit. */
function shareOfMemory(share: number): number {
  const limit = process.constrainedMemory()
  const total = totalmem()
  return Math.floor((limit > 0 && limit < total ? limit : total) * share)
}

const Settings = Type.Object({
  HOST: Type.String({
    default: '127.0.0.1',
    description: 'Address to listen on; requests need a key unless it is a loopback address',
  }),
  PORT: Type.Integer({ minimum: 0, maximum: 65535, default: 8080, description: 'Port to listen on' }),
  DATA_DIR: Type.String({ minLength: 1, default: './data', description: 'Folder of the models' }),
  API_KEYS_FILE: Type.Optional(
    Type.String({ description: 'File with one key and its scopes per line; "npm run key" creates one' }),
  ),
  PRELOAD: Type.Optional(
    Type.String({
      description:
        'File or folder of named specifications or weights; /readyz fails until their models are created',
    }),
  ),
  ALLOW_ANONYMOUS: Type.Boolean({ default: false, description: 'Require no key, for any HOST' }),
  RATE_LIMIT: Type.String({
    ...RATE,
    default: 'off',
    description: 'Maximum rate of requests per key, or per address without keys, such as 600/minute',
  }),
  CORS_ORIGINS: Type.Optional(
    Type.String({
      pattern: `^(\\*|(${ORIGIN})(,(${ORIGIN}))*)$`,
      examples: ['https://app.example.com,http://localhost:5173', '*'],
      description: 'Origins that may send requests from a browser, separated by commas, or *',
    }),
  ),
  ENGINES: integer(
    0,
    'Number of engine processes, each with all models; 0: one per GPU, or on the CPU one for predictions and one for builds',
    0,
  ),
  MAX_BATCH_SIZE: integer(32, 'Maximum number of images per batch'),
  MAX_QUEUE: integer(256, 'Maximum number of waiting images'),
  MAX_ANALYSIS_QUEUE: integer(256, 'Maximum number of waiting analysis requests'),
  MAX_QUEUE_BYTES: integer(
    268_435_456,
    'Maximum memory for requests in bytes: arriving bodies and waiting images',
  ),
  REQUEST_TIMEOUT_MS: milliseconds(60_000, 'Time limit of a prediction after its body has arrived, in ms'),
  ENGINE_TIMEOUT_MS: milliseconds(
    300_000,
    'Time without a message after which an engine with a call is killed, in ms; a build is one call',
  ),
  ANALYSIS_TIMEOUT_MS: Type.Integer({
    ...{ minimum: 1000, maximum: 2 ** 31 - 1, default: 600_000 },
    description:
      'Time limit of one step of an analysis request, in ms; then the analysis is killed. A large orthogonal kernel is one step',
  }),
  HEAD_TIMEOUT_MS: Type.Integer({
    ...{ minimum: 100, maximum: 300_000, default: 20_000 },
    description: 'Time limit for the arrival of a request head, in ms',
  }),
  STALL_TIMEOUT_MS: Type.Integer({
    ...{ minimum: 100, maximum: 300_000, default: 20_000 },
    description: 'Time limit for a body below 500 bytes per second, in ms',
  }),
  UPLOAD_TIMEOUT_MS: milliseconds(900_000, 'Time limit for the arrival of a whole request, in ms'),
  MAX_CONNECTIONS: integer(4096, 'Maximum number of connections; further ones are closed'),
  MAX_BODY_BYTES: integer(
    67_108_864,
    'Maximum size of a body; the limit of weights files is MAX_MODEL_PARAMETERS',
    1024,
  ),
  // Some phones take photographs of 8192x6144 pixels.
  MAX_IMAGE_PIXELS: integer(52_000_000, 'Maximum number of pixels of an image'),
  IMAGE_MEMORY_BYTES: integer(
    // Enough for any JPEG of 50 megapixels; below 500 MB including the code of the libraries.
    Math.min(420_000_000, shareOfMemory(1 / 7)),
    'Memory limit of an image decoder process in bytes; default 420 MB, at most a seventh of the memory',
    150_000_000,
  ),
  IMAGE_TIMEOUT_MS: milliseconds(20_000, 'Time limit for decoding one image, in ms'),
  MAX_MODEL_PARAMETERS: integer(200_000_000, 'Maximum number of parameters of a network'),
  MEMORY_BUDGET_BYTES: integer(
    // The rest is for the processes (0.7 GB), one more model during its build, and ANALYSIS_MEMORY_BYTES.
    shareOfMemory(1 / 3),
    'Memory of resident models in bytes, including graphs and copies of filters; default a third of the memory',
  ),
  ANALYSIS_MEMORY_BYTES: integer(
    shareOfMemory(1 / 4),
    'Memory for the analysis of signals in bytes; default a quarter of the memory',
  ),
  MAX_EXPERIMENT_SECONDS: integer(600, 'Maximum estimated training time of an experiment, in s'),
  DRAIN_DELAY_MS: Type.Integer({
    ...{ minimum: 0, maximum: 2 ** 30, default: 3000 },
    description: 'Time after SIGTERM in which requests are served while /readyz fails, in ms',
  }),
  SHUTDOWN_TIMEOUT_MS: Type.Integer({
    ...{ minimum: 1, maximum: 2 ** 30, default: 30_000 },
    description: 'Time limit of the shutdown after that, in ms',
  }),
  OTEL_EXPORTER_OTLP_ENDPOINT: Type.Optional(
    Type.String({
      pattern: '^https?://.',
      description: "Target of traces over OTLP; OpenTelemetry's other variables apply as well",
    }),
  ),
  LOG_LEVEL: Type.Enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], {
    default: 'info',
    description: 'Log level of pino',
  }),
})

export type Config = Readonly<Static<typeof Settings>>

const check = checker(Settings, 'text')
const names = Object.keys(Settings.properties) as (keyof Config)[]

/** Reads the settings from the environment. Throws SettingError for the first invalid setting. */
export function readConfig(environment: Readonly<Record<string, string | undefined>>): Config {
  const given = Object.fromEntries(
    names.flatMap((name) => (environment[name] ? [[name, environment[name]]] : [])),
  )
  const [error] = check(given, '')
  if (error) throw new SettingError(`${error.pointer.slice(1)} ${error.detail}`)
  if (given['API_KEYS_FILE'] !== undefined && given['ALLOW_ANONYMOUS'] === (true as unknown))
    throw new SettingError('ALLOW_ANONYMOUS=true would disable the keys of API_KEYS_FILE; set one of the two')
  return Object.freeze(given) as unknown as Config
}

/** The text of --help: the settings, their meaning and their defaults. */
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
    'Settings are environment variables. Invalid settings stop the start with a message that names them.',
    '',
    ...lines,
    '',
  ].join('\n')
}
