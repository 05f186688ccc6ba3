import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startService, type RunningService } from '../../support/service.ts'

const BROWSER = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'

let running: RunningService
beforeAll(async () => {
  running = await startService()
})
afterAll(() => running.close())

const ask = (path: string, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(running.client.url + path, { headers })

/** The files that the page loads. */
async function assets(): Promise<string[]> {
  const html = await (await ask('/', { accept: BROWSER })).text()
  return [...html.matchAll(/(?:src|href)="(\/page\/[^"]+)"/g)].map(([, path = '']) => path)
}

describe('GET /', () => {
  it.each([['*/*'], ['application/json'], ['application/json, text/html;q=0.5'], ['image/png']])(
    'reports that the service is alive for Accept: %s',
    async (accept) => {
      const answer = await ask('/', { accept })
      expect(await answer.json()).toEqual({ status: 'alive' })
      expect(answer.headers.get('vary')).toContain('accept')
    },
  )

  it('is the page for a browser, with a Content-Security-Policy for its own origin', async () => {
    const answer = await ask('/', { accept: BROWSER })
    expect(answer.headers.get('content-type')).toBe('text/html; charset=utf-8')
    expect(answer.headers.get('cache-control')).toBe('no-cache')
    const policy = answer.headers.get('content-security-policy')
    expect(policy).toContain("default-src 'none'")
    expect(policy).not.toContain('unsafe')
    const etag = answer.headers.get('etag') ?? ''
    // fetch() would bypass its cache.
    const again = await running.client.get('/', { accept: BROWSER, 'if-none-match': etag })
    expect(again.status).toBe(304)
    expect(await answer.text()).not.toMatch(/<script>|<style|style="|\son\w+=/)
  })
})

describe('assets of the page', () => {
  it('are immutable', async () => {
    const paths = await assets()
    expect(paths.length).toBeGreaterThanOrEqual(3)
    for (const path of paths) {
      const answer = await ask(path)
      expect(path).toMatch(/-[0-9a-f]{12}\.(js|css|svg)$/)
      expect(answer.headers.get('cache-control'), path).toBe('public, max-age=31536000, immutable')
      expect(answer.headers.get('etag'), path).not.toBeNull()
      expect(answer.headers.get('x-content-type-options'), path).toBe('nosniff')
    }
    expect((await ask('/page/main-000000000000.js')).status).toBe(404)
    expect((await ask('/page/..%2findex.html')).status).toBe(404)
  })

  it.each([['br'], ['gzip']])('take less than 200 KB in %s with the page', async (encoding) => {
    let bytes = 0
    for (const path of new Set(['/', ...(await assets())])) {
      const answer = await ask(path, { accept: BROWSER, 'accept-encoding': encoding })
      expect(answer.headers.get('content-encoding'), path).toBe(encoding)
      bytes += Number(answer.headers.get('content-length'))
    }
    expect(bytes).toBeLessThan(200_000)
    expect(bytes).toBeGreaterThan(50_000)
  })
})

it.each([
  '/',
  '/docs',
  '/docs/',
  '/docs/json',
  '/docs/static/swagger-ui-bundle.js',
  '/docs/static/index.css',
])('%s loads only own files, forbids frames, and sends no referrer', async (path) => {
  const { status, headers } = await ask(path, { accept: BROWSER })
  expect(status).toBe(200)
  const policy = headers.get('content-security-policy')?.split('; ') ?? []
  expect(policy).toEqual(
    expect.arrayContaining([
      "default-src 'none'",
      "script-src 'self'",
      "connect-src 'self'",
      "frame-ancestors 'none'",
    ]),
  )
  expect(policy.join()).not.toMatch(/unsafe|https?:|\*/)
  expect(headers.get('x-content-type-options')).toBe('nosniff')
  expect(headers.get('referrer-policy')).toBe('no-referrer')
})
