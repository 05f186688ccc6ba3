import { join } from 'node:path'
import { createModel, startService } from '../lib/service.mjs'

/**
 * This project's service with its defaults or the given settings; the image is the body.
 * @param {object} more Fields added to the specification.
 * @param {Record<string, number>} settings By their names in the environment, in whatever case.
 */
export function resinit(more, settings) {
  const environment = Object.fromEntries(
    Object.entries(settings).map(([name, value]) => [name.toUpperCase(), String(value)]),
  )
  return {
    /** @type {import('./contestants.mjs').Contestant['start']} */
    start: async ({ specification, folder }) => {
      const own = [...Object.values(more), ...Object.entries(environment).flat()]
      const server = await startService(join(folder, `resinit-${own.join('-')}`), environment)
      try {
        const { id } = await createModel(server, { ...specification, ...more })
        const path = `/v1/models/${id}/predict`
        return {
          server,
          requestOf: (image) => ({ path, headers: { 'Content-Type': 'image/jpeg' }, body: image }),
        }
      } catch (error) {
        await server.stop()
        throw error
      }
    },
    read: (/** @type {string} */ body) => {
      /** @type {{ predictions: { classes: import('./contestants.mjs').Top }[] }} */
      const { predictions } = JSON.parse(body)
      return predictions[0]?.classes ?? []
    },
  }
}
