"""Verifies one access token with jwcrypto, knowing only the issuer's URL.

    python3 verify.py ISSUER AUDIENCE TOKEN

Prints the claims; exits 1 with the name of the error when it is refused.
"""
import json
import sys
import urllib.request

from jwcrypto import jwk, jwt

issuer, audience, token = sys.argv[1:]


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


metadata = json.loads(get(issuer + "/.well-known/oauth-authorization-server"))
keys = jwk.JWKSet.from_json(get(metadata["jwks_uri"]))
try:
    got = jwt.JWT(
        jwt=token,
        key=keys,
        algs=["ES256", "RS256", "EdDSA"],
        check_claims={"iss": issuer, "aud": audience, "exp": None},
    )
except Exception as err:  # whatever it is, the token was refused
    print(type(err).__name__, file=sys.stderr)
    sys.exit(1)
print(got.claims)
