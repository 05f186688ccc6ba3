/**
 * Loaded into every child before its own modules: a signal to the whole process group must not end it, because stopping a
 * child is its parent's decision. Loading TensorFlow takes a second, in which the default action would still apply.
 */
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => undefined)
