/** Of either alphabet, with line breaks (RFC 2045) anywhere. */
const BASE64 = /^[A-Za-z0-9+/_\r\n-]+(=[\r\n]*){0,2}$/

/** The bytes of base64, whose line breaks are ignored; undefined where the text is no base64, or that of no byte. */
export function fromBase64(text: string): Buffer | undefined {
  if (!BASE64.test(text)) return undefined
  const bytes = Buffer.from(text, 'base64')
  return bytes.length === 0 ? undefined : bytes
}
