/** Sources of an HTML document besides the files of this service. */
interface Sources {
  readonly images: string
  readonly styles?: string
}

/** Headers for HTML: load from and connect to this origin only, nothing inline, no frames. */
export function createSecurityHeaders({ images, styles = '' }: Sources) {
  return {
    'content-security-policy': [
      "default-src 'none'",
      "script-src 'self'",
      `style-src 'self' ${styles}`.trimEnd(),
      `img-src 'self' ${images}`,
      "connect-src 'self'",
      "form-action 'none'",
      "base-uri 'none'",
      "frame-ancestors 'none'",
    ].join('; '),
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
  } as const
}
