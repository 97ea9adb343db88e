// Answers requests about tokens with npm jose: one JSON object a line on stdin,
// one a line on stdout. conformance/peers_test.go says what is in them.
import { webcrypto } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

globalThis.crypto ??= webcrypto // Node 18 has it here only
const jose = await import('jose')
const { base64url } = jose

const bytes = (s) => base64url.decode(s)
const key = (request, i = 0) => jose.importJWK(request.keys[i], request.alg)
const answerPayload = (payload) => ({ payload: base64url.encode(payload) })

// Header of a JWS. RFC 7797, Section 6: b64 is always critical.
const jwsHeader = ({ alg, form, keys }) => ({
  alg,
  kid: keys[0].kid,
  ...(form.startsWith('unencoded') ? { b64: false, crit: ['b64'] } : {}),
})

const sign = {
  compact: async (r) => new jose.CompactSign(bytes(r.payload)).setProtectedHeader(jwsHeader(r)).sign(await key(r)),
  flattened: async (r) => JSON.stringify(await new jose.FlattenedSign(bytes(r.payload)).setProtectedHeader(jwsHeader(r)).sign(await key(r))),
  general: async (r) => {
    const jws = new jose.GeneralSign(bytes(r.payload))
    for (let i = 0; i < r.keys.length; i++) {
      jws.addSignature(await key(r, i)).setProtectedHeader({ ...jwsHeader(r), kid: r.keys[i].kid })
    }
    return JSON.stringify(await jws.sign())
  },
  // RFC 7515, Appendix F: the payload is taken out of a finished token.
  detached: async (r) => {
    const [header, , signature] = (await sign.compact(r)).split('.')
    return `${header}..${signature}`
  },
  unencoded: async (r) => {
    const jws = JSON.parse(await sign.flattened(r))
    return `${jws.protected}..${jws.signature}`
  },
  'unencoded flattened': async (r) => JSON.stringify({ ...JSON.parse(await sign.flattened(r)), payload: Buffer.from(bytes(r.payload)).toString() }),
}

const verify = {
  compact: async (r) => jose.compactVerify(r.token, await key(r)),
  flattened: async (r) => jose.flattenedVerify(JSON.parse(r.token), await key(r)),
  general: async (r) => jose.generalVerify(JSON.parse(r.token), await key(r)),
  detached: async (r) => {
    const [header, nothing, signature] = r.token.split('.')
    if (nothing !== '') throw new Error('not detached')
    return jose.compactVerify(`${header}.${r.payload}.${signature}`, await key(r))
  },
  unencoded: async (r) => {
    const [header, , signature] = r.token.split('.')
    return jose.flattenedVerify({ protected: header, payload: bytes(r.payload), signature }, await key(r))
  },
  'unencoded flattened': async (r) => jose.flattenedVerify(JSON.parse(r.token), await key(r)),
}

const jweHeader = ({ alg, enc, zip, keys }) => ({ alg, enc, kid: keys[0].kid, ...(zip ? { zip: 'DEF' } : {}) })

const encrypt = {
  compact: async (r) => {
    const jwe = new jose.CompactEncrypt(bytes(r.payload)).setProtectedHeader(jweHeader(r))
    if (r.apu) jwe.setKeyManagementParameters({ apu: bytes(r.apu), apv: bytes(r.apv) })
    return jwe.encrypt(await key(r))
  },
  flattened: async (r) => {
    const jwe = new jose.FlattenedEncrypt(bytes(r.payload)).setProtectedHeader(jweHeader(r)).setAdditionalAuthenticatedData(bytes(r.aad))
    return JSON.stringify(await jwe.encrypt(await key(r)))
  },
  general: async (r) => {
    const jwe = new jose.GeneralEncrypt(bytes(r.payload)).setProtectedHeader({ enc: r.enc })
    for (let i = 0; i < r.keys.length; i++) {
      jwe.addRecipient(await key(r, i)).setUnprotectedHeader({ alg: r.alg, kid: r.keys[i].kid })
    }
    return JSON.stringify(await jwe.encrypt())
  },
}

// PBES2 has to be asked for. The bound on p2c is above what the others write.
const decryptOptions = ({ alg, enc }) => ({ keyManagementAlgorithms: [alg], contentEncryptionAlgorithms: [enc], maxPBES2Count: 1_200_000 })

const decrypt = {
  compact: async (r) => jose.compactDecrypt(r.token, await key(r), decryptOptions(r)),
  flattened: async (r) => jose.flattenedDecrypt(JSON.parse(r.token), await key(r), decryptOptions(r)),
  general: async (r) => jose.generalDecrypt(JSON.parse(r.token), await key(r), decryptOptions(r)),
}

// A nested JWT, RFC 7519, Appendix A.2: signed by keys[0], for keys[1].
const nest = async ({ alg, keyAlg, enc, keys, payload }) => {
  const jws = await new jose.SignJWT(JSON.parse(Buffer.from(payload, 'base64url').toString()))
    .setProtectedHeader({ alg, kid: keys[0].kid, typ: 'at+jwt' })
    .sign(await jose.importJWK(keys[0], alg))
  return new jose.CompactEncrypt(new TextEncoder().encode(jws))
    .setProtectedHeader({ alg: keyAlg, enc, kid: keys[1].kid, cty: 'JWT' })
    .encrypt(await jose.importJWK(keys[1], keyAlg))
}

const unnest = async ({ alg, keyAlg, enc, keys, token }) => {
  const { plaintext, protectedHeader } = await jose.compactDecrypt(token, await jose.importJWK(keys[1], keyAlg), {
    keyManagementAlgorithms: [keyAlg],
    contentEncryptionAlgorithms: [enc],
  })
  if (protectedHeader.cty !== 'JWT') throw new Error('cty is not JWT')
  const { payload } = await jose.jwtVerify(Buffer.from(plaintext).toString(), await jose.importJWK(keys[0], alg), { algorithms: [alg], typ: 'at+jwt' })
  return new TextEncoder().encode(JSON.stringify(payload))
}

const operations = {
  version: async () => ({ token: `${JSON.parse(readFileSync(new URL('node_modules/jose/package.json', import.meta.url))).version} on Node.js ${process.versions.node.split('.')[0]}` }),
  sign: async (r) => ({ token: await sign[r.form](r) }),
  verify: async (r) => answerPayload((await verify[r.form](r)).payload ?? bytes(r.payload)),
  encrypt: async (r) => ({ token: await encrypt[r.form](r) }),
  decrypt: async (r) => answerPayload((await decrypt[r.form](r)).plaintext),
  nest: async (r) => ({ token: await nest(r) }),
  unnest: async (r) => answerPayload(await unnest(r)),
  thumbprint: async (r) => ({ token: await jose.calculateJwkThumbprintUri(r.keys[0]) }),
  // Reads a JWK and writes what it understood, the private part included.
  jwk: async (r) => ({ token: JSON.stringify(await jose.exportJWK(await jose.importJWK(r.keys[0], r.alg, { extractable: true }))) }),
  generate: async (r) => {
    const options = { crv: r.curve, extractable: true }
    const made = r.kty === 'oct' ? await jose.generateSecret(r.alg, options) : (await jose.generateKeyPair(r.alg, options)).privateKey
    return { token: JSON.stringify(await jose.exportJWK(made)) }
  },
  // Reads a key in PEM and writes it again: PKCS #8, or SubjectPublicKeyInfo.
  pem: async (r) => {
    if (r.token.includes('PRIVATE')) return { token: await jose.exportPKCS8(await jose.importPKCS8(r.token, r.alg, { extractable: true })) }
    return { token: await jose.exportSPKI(await jose.importSPKI(r.token, r.alg, { extractable: true })) }
  },
}

// What the library or this runtime lacks, as against what it refuses.
const lacks = (err) => err.code === 'ERR_JOSE_NOT_SUPPORTED' || err.name === 'NotSupportedError'

for await (const line of createInterface({ input: process.stdin })) {
  let answer
  try {
    const request = JSON.parse(line)
    answer = await operations[request.op](request)
  } catch (err) {
    answer = lacks(err) ? { unsupported: true } : { error: `${err.code ?? err.name}: ${err.message}` }
  }
  console.log(JSON.stringify(answer))
}
