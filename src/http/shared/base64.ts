/** Either alphabet, with line breaks (RFC 2045) anywhere. */
const BASE64 = /^[A-Za-z0-9+/_\r\n-]+(=[\r\n]*){0,2}$/

/** Decodes base64, ignoring line breaks; undefined for invalid or empty input. */
export function decodeBase64(text: string): Buffer | undefined {
  if (!BASE64.test(text)) return undefined
  const bytes = Buffer.from(text, 'base64')
  return bytes.length === 0 ? undefined : bytes
}
