/** What a document loads beside the files of this service. */
interface Sources {
  readonly images: string
  readonly styles?: string
}

/** What browsers may do with HTML of this service: load what came from here, connect to here, nothing inline, in no frame. */
export function securityHeaders({ images, styles = '' }: Sources) {
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
