/** The arguments allow no comparison. The message names the cure. */
export class UsageError extends Error {}
