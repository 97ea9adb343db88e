"""Answers requests about tokens with jwcrypto: one JSON object a line on stdin,
one a line on stdout. conformance/peers_test.go says what is in them."""

import json
import sys
from importlib.metadata import version

from jwcrypto import jwe, jwk, jws
from jwcrypto.common import base64url_decode, base64url_encode


class Unsupported(Exception):
    """The library lacks what is asked for, as against refusing it."""


def key(request, i=0):
    data = request["keys"][i]
    if data["kty"] not in jwk.JWKTypesRegistry:
        raise Unsupported
    return jwk.JWK(**data)


def jws_header(request, i=0):
    header = {"alg": request["alg"], "kid": request["keys"][i]["kid"]}
    if request["form"].startswith("unencoded"):
        header.update(b64=False, crit=["b64"])  # RFC 7797, Section 6
    return header


def sign(request):
    if request["alg"] not in jws.default_allowed_algs:
        raise Unsupported
    form = request["form"]
    token = jws.JWS(base64url_decode(request["payload"]))
    if form == "unencoded flattened":
        token = jws.JWS(base64url_decode(request["payload"]).decode())
    for i in range(len(request["keys"]) if form == "general" else 1):
        token.add_signature(key(request, i), protected=jws_header(request, i))
    if form in ("detached", "unencoded"):
        token.detach_payload()
    return {"token": token.serialize(compact=form in ("compact", "detached", "unencoded"))}


def verify(request):
    if request["alg"] not in jws.default_allowed_algs:
        raise Unsupported
    token = jws.JWS()
    token.deserialize(request["token"])
    if request["form"] in ("detached", "unencoded"):
        token.objects["payload"] = base64url_decode(request["payload"])
    token.verify(key(request), alg=request["alg"])
    return payload(token.payload)


def encrypt(request):
    form = request["form"]
    header = {"enc": request["enc"]}
    if form != "general":
        header.update(alg=request["alg"], kid=request["keys"][0]["kid"])
    if request.get("zip"):
        header["zip"] = "DEF"
    if request.get("apu"):
        header.update(apu=request["apu"], apv=request["apv"])
    aad = base64url_decode(request["aad"]) if form == "flattened" else None
    token = jwe.JWE(base64url_decode(request["payload"]), protected=header, aad=aad)
    supported(token, request)
    for i in range(len(request["keys"]) if form == "general" else 1):
        own = {"alg": request["alg"], "kid": request["keys"][i]["kid"]}
        token.add_recipient(key(request, i), header=own if form == "general" else None)
    return {"token": token.serialize(compact=form == "compact")}


def decrypt(request):
    token = jwe.JWE()
    supported(token, request)
    token.allowed_algs = [request["alg"], request["enc"]]
    token.deserialize(request["token"], key(request))
    return payload(token.plaintext)


def supported(token, request):
    if request["alg"] not in token.allowed_algs or request["enc"] not in token.allowed_algs:
        raise Unsupported


def nest(request):
    """A nested JWT, RFC 7519, Appendix A.2: signed by keys[0], for keys[1]."""
    inner = jws.JWS(base64url_decode(request["payload"]))
    inner.add_signature(key(request), protected={"alg": request["alg"], "kid": request["keys"][0]["kid"], "typ": "at+jwt"})
    header = {"alg": request["keyAlg"], "enc": request["enc"], "kid": request["keys"][1]["kid"], "cty": "JWT"}
    token = jwe.JWE(inner.serialize(compact=True), protected=header)
    token.add_recipient(key(request, 1))
    return {"token": token.serialize(compact=True)}


def unnest(request):
    token = jwe.JWE()
    token.allowed_algs = [request["keyAlg"], request["enc"]]
    token.deserialize(request["token"], key(request, 1))
    if token.jose_header.get("cty") != "JWT":
        raise ValueError("cty is not JWT")
    inner = jws.JWS()
    inner.deserialize(token.plaintext.decode())
    inner.verify(key(request), alg=request["alg"])
    return payload(inner.payload)


def thumbprint(request):
    return {"token": "urn:ietf:params:oauth:jwk-thumbprint:sha-256:" + key(request).thumbprint()}


def read_jwk(request):
    """Reads a JWK and writes what it understood, the private part included."""
    return {"token": key(request).export()}


def generate(request):
    kind = request["kty"]
    if kind not in jwk.JWKTypesRegistry:
        raise Unsupported
    if kind == "RSA":
        made = jwk.JWK.generate(kty=kind, size=2048)
    elif kind == "oct":
        made = jwk.JWK.generate(kty=kind, size=512)
    else:
        made = jwk.JWK.generate(kty=kind, crv=request["curve"])
    return {"token": made.export()}


def pem(request):
    """Reads a key in PEM and writes it again: PKCS #8, or SubjectPublicKeyInfo."""
    if request.get("kty") not in jwk.JWKTypesRegistry:
        raise Unsupported
    private = "PRIVATE" in request["token"]
    try:
        made = jwk.JWK.from_pem(request["token"].encode())
    except jwk.InvalidJWKValue as err:  # it was read, and its type is none of theirs
        raise Unsupported from err
    return {"token": made.export_to_pem(private_key=private, password=None).decode()}


def payload(data):
    if isinstance(data, str):
        data = data.encode()
    return {"payload": base64url_encode(data)}


operations = {
    "version": lambda request: {"token": version("jwcrypto")},
    "sign": sign,
    "verify": verify,
    "encrypt": encrypt,
    "decrypt": decrypt,
    "nest": nest,
    "unnest": unnest,
    "thumbprint": thumbprint,
    "jwk": read_jwk,
    "generate": generate,
    "pem": pem,
}

for line in sys.stdin:
    try:
        asked = json.loads(line)
        answer = operations[asked["op"]](asked)
    except Unsupported:
        answer = {"unsupported": True}
    except Exception as err:  # whatever it is, it is a refusal
        answer = {"error": repr(err)}
    print(json.dumps(answer), flush=True)
