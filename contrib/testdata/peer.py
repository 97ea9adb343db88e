"""Signs and verifies with jwcrypto (ES256K) and cryptography (Ed448).

    python3 peer.py sign ALG JWK        prints a compact JWS of its own
    python3 peer.py verify ALG JWK JWS  prints the payload; exits 1 when refused

jwcrypto knows Ed448 only under the name EdDSA, so that a JWS of that one is
put together here around the signature of the library.
"""
import base64
import json
import sys

from cryptography.hazmat.primitives.asymmetric import ed448
from jwcrypto import jwk, jws


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


PAYLOAD = b"from a peer"
command, alg, key = sys.argv[1:4]
members = json.loads(key)

try:
    if command == "sign" and alg == "Ed448":
        private = ed448.Ed448PrivateKey.from_private_bytes(decode(members["d"]))
        header = json.dumps({"alg": alg}).encode()
        text = encode(header) + "." + encode(PAYLOAD)
        print(text + "." + encode(private.sign(text.encode())))
    elif command == "sign":
        token = jws.JWS(PAYLOAD)
        token.allowed_algs = [alg]
        token.add_signature(jwk.JWK(**members), protected=json.dumps({"alg": alg}))
        print(token.serialize(compact=True))
    elif alg == "Ed448":
        text, _, signature = sys.argv[4].rpartition(".")
        public = ed448.Ed448PublicKey.from_public_bytes(decode(members["x"]))
        public.verify(decode(signature), text.encode())
        print(decode(text.split(".")[1]).decode())
    else:
        token = jws.JWS()
        token.allowed_algs = [alg]
        token.deserialize(sys.argv[4], jwk.JWK(**members))
        print(token.payload.decode())
except Exception as err:  # whatever it is, the token was refused
    print(type(err).__name__, file=sys.stderr)
    sys.exit(1)
