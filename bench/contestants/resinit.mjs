import { join } from 'node:path'
import { createModel, startService } from '../service.mjs'

/**
 * Our service with its defaults, the image itself as the body.
 * @param {object} more Fields added to the specification.
 */
export function resinit(more) {
  return {
    /** @type {import('../contestants.mjs').Contestant['start']} */
    start: async ({ specification, folder }) => {
      const server = await startService(join(folder, `resinit-${String(Object.values(more))}`))
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
      /** @type {{ predictions: { classes: import('../contestants.mjs').Top }[] }} */
      const { predictions } = JSON.parse(body)
      return predictions[0]?.classes ?? []
    },
  }
}
