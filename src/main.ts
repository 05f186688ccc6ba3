import { tmpdir } from 'node:os'
import { describeSettings, readConfig, SettingError, type Config } from './config.ts'
import { buildService, readPreload, type Service } from './service.ts'
import { probeTemporaryDirectory } from './common/temporary-directory.ts'

/** The same signal within this time after the first one is not a second request to stop. */
const REPEAT_MS = 1000

if (process.argv.includes('--help')) {
  process.stdout.write(describeSettings())
} else {
  await run()
}

async function run(): Promise<void> {
  let isStopping = (): boolean => false
  try {
    const config = readConfig(process.env)
    const { HOST, PORT, DATA_DIR, PRELOAD } = config
    const preloading = `PRELOAD=${PRELOAD ?? ''}`
    const preload = await withContext(preloading, readPreload(config))
    await withContext(`TMPDIR=${tmpdir()}`, probeTemporaryDirectory())
    const service = await withContext(`DATA_DIR=${DATA_DIR}`, buildService(config, preload))
    isStopping = stopOnSignal(service, config)
    const { app, logger, key } = service
    if (key !== undefined) {
      const why =
        'no key is set and HOST is not a loopback address: requests need this key until the next start'
      // Printed regardless of the log level: the key is available nowhere else.
      if (logger.isLevelEnabled('warn')) logger.warn({ key }, why)
      else process.stderr.write(`${why}: ${key}\n`)
    }
    await withContext(`HOST=${HOST} PORT=${String(PORT)}`, app.listen({ host: HOST, port: PORT }))
    await service.started()
    await withContext(preloading, service.preload())
    logger.info({ engine: await service.engine.info() }, 'ready')
  } catch (error) {
    // A signal during the start ends it without an error.
    if (isStopping()) return
    process.stderr.write(`resinit cannot start: ${errorMessage(error)}\n`)
    process.exit(1)
  }
}

/** Prefixes the error of a start step with its settings, unless the error names a setting. */
async function withContext<R>(settings: string, step: Promise<R>): Promise<R> {
  try {
    return await step
  } catch (error) {
    if (error instanceof SettingError) throw error
    throw new Error(`${settings}: ${errorMessage(error)}`, { cause: error })
  }
}

function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/**
 * The first signal stops the service after its present requests, within a time limit; a second one exits at once. After
 * SIGTERM requests are served for DRAIN_DELAY_MS more, because a load balancer may still send some; SIGINT stops without
 * this delay. Returns a function that is true after a signal.
 *
 * A signal to the process group of `npm start` arrives twice, because npm forwards it: the same signal within REPEAT_MS
 * counts once.
 */
function stopOnSignal(
  service: Service,
  { DRAIN_DELAY_MS, SHUTDOWN_TIMEOUT_MS }: Pick<Config, 'DRAIN_DELAY_MS' | 'SHUTDOWN_TIMEOUT_MS'>,
): () => boolean {
  let stopping = false
  let repeated: NodeJS.Signals | undefined
  const stop = (signal: NodeJS.Signals): void => {
    if (signal === repeated) return
    if (stopping) process.exit(1)
    stopping = true
    repeated = signal
    // If the timer is late, the repeated signal may be pending: handle it before the reset.
    setTimeout(() => setImmediate(() => (repeated = undefined)), REPEAT_MS).unref()
    service.logger.info({ signal }, 'stopping')
    service.drain()
    const delay = signal === 'SIGTERM' && service.isStarted ? DRAIN_DELAY_MS : 0
    setTimeout(() => process.exit(1), delay + SHUTDOWN_TIMEOUT_MS).unref()
    setTimeout(() => void end(), delay)
  }
  const end = async (): Promise<never> => {
    try {
      await service.close()
      process.exit(0)
    } catch (error) {
      service.logger.error({ err: error }, 'stop failed')
      process.exit(1)
    }
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  return () => stopping
}
