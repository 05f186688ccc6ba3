import { describeSettings, readConfig } from './config.ts'
import { buildService, type Service } from './service.ts'

if (process.argv.includes('--help')) {
  process.stdout.write(describeSettings())
} else {
  await run()
}

async function run(): Promise<void> {
  let isStopping = (): boolean => false
  try {
    const config = readConfig(process.env)
    const { HOST, PORT, DATA_DIR } = config
    const service = await blaming(`DATA_DIR=${DATA_DIR}`, buildService(config))
    isStopping = stopOnSignal(service, config.SHUTDOWN_TIMEOUT_MS)
    const { app, logger, key } = service
    if (key !== undefined) {
      const why = 'no key is set and HOST is wider than loopback: this key is asked for until the next start'
      // It is said nowhere else, so no level may hide it.
      if (logger.isLevelEnabled('warn')) logger.warn({ key }, why)
      else process.stderr.write(`${why}: ${key}\n`)
    }
    await blaming(`HOST=${HOST} PORT=${String(PORT)}`, app.listen({ host: HOST, port: PORT }))
    await service.started()
    logger.info({ engine: await service.engine.info() }, 'ready')
  } catch (error) {
    // A stop that comes during the start ends it.
    if (isStopping()) return
    process.stderr.write(`resinit cannot start: ${sentence(error)}\n`)
    process.exit(1)
  }
}

/** What fails at a start fails for its settings: the sentence begins with them. */
async function blaming<R>(settings: string, step: Promise<R>): Promise<R> {
  try {
    return await step
  } catch (error) {
    throw new Error(`${settings}: ${sentence(error)}`, { cause: error })
  }
}

function sentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The first signal finishes what was begun, within a limit; a second one exits now. Says whether there was one. */
function stopOnSignal(service: Service, timeoutMs: number): () => boolean {
  let stopping = false
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping) process.exit(1)
    stopping = true
    service.logger.info({ signal }, 'stopping')
    service.drain()
    setTimeout(() => process.exit(1), timeoutMs).unref()
    void service.close().then(
      () => process.exit(0),
      (error: unknown) => {
        service.logger.error({ err: error }, 'stop failed')
        process.exit(1)
      },
    )
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  return () => stopping
}
