import { describe, expect, test } from 'vitest'
import { describeSettings, readConfig } from '../../src/config.ts'

describe('settings', () => {
  test('have defaults, also for empty variables', () => {
    const config = readConfig({ PORT: '', PATH: '/bin' })
    expect(config).toMatchObject({
      ...{ HOST: '127.0.0.1', PORT: 8080, DATA_DIR: './data', ALLOW_ANONYMOUS: false, LOG_LEVEL: 'info' },
      ...{ MAX_BATCH_SIZE: 32, MAX_QUEUE: 256, MAX_MODEL_PARAMETERS: 200_000_000 },
    })
    expect(config.MEMORY_BUDGET_BYTES).toBeGreaterThan(0)
    expect(Number.isInteger(config.MEMORY_BUDGET_BYTES)).toBe(true)
    expect(config).not.toHaveProperty('PATH')
    expect(Object.isFrozen(config)).toBe(true)
  })

  test('are parsed', () => {
    const config = readConfig({ PORT: '0', ALLOW_ANONYMOUS: 'true', LOG_LEVEL: 'silent', MAX_QUEUE: '7' })
    expect(config).toMatchObject({ PORT: 0, ALLOW_ANONYMOUS: true, LOG_LEVEL: 'silent', MAX_QUEUE: 7 })
    expect(readConfig({ ALLOW_ANONYMOUS: 'false' }).ALLOW_ANONYMOUS).toBe(false)
  })

  test.each<readonly [string, string, string]>([
    ['PORT', '70000', 'PORT must be <= 65535, got 70000'],
    ['PORT', 'http', 'PORT must be integer, got "http"'],
    ['PORT', '80.5', 'PORT must be integer, got "80.5"'],
    ['ALLOW_ANONYMOUS', 'yes', 'ALLOW_ANONYMOUS must be boolean, got "yes"'],
    [
      'LOG_LEVEL',
      'loud',
      'LOG_LEVEL must be one of "fatal", "error", "warn", "info", "debug", "trace", "silent", got "loud"',
    ],
    ['MAX_BATCH_SIZE', '0', 'MAX_BATCH_SIZE must be >= 1, got 0'],
    ['REQUEST_TIMEOUT_MS', '3000000000', 'REQUEST_TIMEOUT_MS must be <= 2147483647, got 3000000000'],
    ['MAX_BODY_BYTES', '10', 'MAX_BODY_BYTES must be >= 1024, got 10'],
    ['RATE_LIMIT', '5', 'RATE_LIMIT must be like 600/minute or off, got "5"'],
    ['RATE_LIMIT', '0/hour', 'RATE_LIMIT must be like 600/minute or off, got "0/hour"'],
    ...[
      'https://a.example/path',
      'a.example',
      'https://a.example, https://b.example',
      '*,https://a.example',
    ].map(
      (origins) =>
        [
          'CORS_ORIGINS',
          origins,
          `CORS_ORIGINS must be like https://app.example.com,http://localhost:5173 or *, got "${origins}"`,
        ] as const,
    ),
  ])('%s=%s stops the start', (name, value, sentence) => {
    expect(() => readConfig({ [name]: value })).toThrow(new Error(sentence))
  })

  test('cannot require keys and allow anonymous access', () => {
    expect(() => readConfig({ API_KEYS_FILE: 'keys', ALLOW_ANONYMOUS: 'true' })).toThrow(
      /set one of the two$/,
    )
    expect(readConfig({ API_KEYS_FILE: 'keys' }).API_KEYS_FILE).toBe('keys')
  })

  test.each(['*', 'https://a.example', 'http://localhost:5173,https://b.example', 'http://[::1]:80'])(
    'accept the origins %s',
    (origins) => {
      expect(readConfig({ CORS_ORIGINS: origins }).CORS_ORIGINS).toBe(origins)
    },
  )

  test('are all described, with their defaults', () => {
    const help = describeSettings()
    for (const name of Object.keys(readConfig({})))
      expect(help).toMatch(new RegExp(`^  ${name} .+\\(.+\\)$`, 'm'))
    expect(help).toContain('(8080)')
  })
})
