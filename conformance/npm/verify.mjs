// Verifies one access token with npm jose, knowing only the issuer's URL,
// and prints its claims. Exits 1 with the error's code when it is refused.
//
//   node verify.mjs ISSUER AUDIENCE TOKEN
import { webcrypto } from 'node:crypto'

globalThis.crypto ??= webcrypto // Node 18, which is Debian's, has it here only
const { createRemoteJWKSet, jwtVerify } = await import('jose')

const [issuer, audience, token] = process.argv.slice(2)
const metadata = await (await fetch(`${issuer}/.well-known/oauth-authorization-server`)).json()
const keys = createRemoteJWKSet(new URL(metadata.jwks_uri))
try {
  const { payload } = await jwtVerify(token, keys, { issuer, audience, typ: 'at+jwt' })
  console.log(JSON.stringify(payload))
} catch (err) {
  console.error(err.code ?? String(err))
  process.exit(1)
}
