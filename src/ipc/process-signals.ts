/**
 * Loaded into every child before its own modules: only the parent stops a child, so a signal to the whole process group
 * must not end it. Loading TensorFlow takes a second, during which the default action would still apply.
 */
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => undefined)
