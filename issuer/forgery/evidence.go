package forgery

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/internal/wire"
	"github.com/counterfoil/counterfoil/issuer/keyring"
	"github.com/counterfoil/counterfoil/issuer/store"
	"github.com/counterfoil/counterfoil/jose/jwk"
	"github.com/counterfoil/counterfoil/jose/jws"
	"github.com/counterfoil/counterfoil/jose/jwt"
	"github.com/counterfoil/counterfoil/notary"
	"github.com/counterfoil/counterfoil/oauth"
)

// A Verdict is what evidence proves.
type Verdict string

// The verdicts.
const (
	Forged   Verdict = "forged"   // signed by a key of ours, and not tagged by the notary
	Genuine  Verdict = "genuine"  // tagged by the notary: no forgery, whatever else is wrong with it
	Unsigned Verdict = "unsigned" // no token, or the signature is not valid
	Unknown  Verdict = "unknown"  // of a key that we never had or that is not tagged, expired, or nothing can be told now
	Canary   Verdict = "canary"   // signed by a key that signs nothing
)

// MaxToken is the longest token that is taken as evidence, in bytes.
const MaxToken = jws.MaxToken

// A finding is a token that is evidence.
type finding struct {
	verdict  Verdict
	keyID    string
	tokenID  string // as the token says; may be empty
	hash     [sha256.Size]byte
	level0   string
	reporter string
	payload  []byte
	// rehearsed says that the issuer made the token itself, in a drill.
	rehearsed bool
}

// mark is over the kid too, which what is signed need not name.
func (f *finding) mark() mark {
	h := sha256.Sum256(append(f.hash[:], f.keyID...))
	return mark(h[:])
}

// Evidence judges a token that a verifier could not prove. It counts against the
// bounds of reporter at the address from, which may be zero. When Evidence says Forged
// or Canary, that is in the store, and the first step of the answer with it.
//
// The error is a [*LimitedError], [ErrOff], or an ErrUnavailable of package notary or
// store; nothing is then known of the token.
func (d *Desk) Evidence(ctx context.Context, reporter string, from netip.Addr, token string) (Verdict, error) {
	if d.cfg.Answer == Off {
		return "", ErrOff
	}
	source := newSource(reporter, from)
	if err := d.reporters.takeEvidence(source); err != nil {
		d.counts.limited.Add(1)
		return "", err
	}
	verdict, junk, err := d.judge(ctx, reporter, token)
	if junk && d.reporters.noteJunk(source) {
		// An honest verifier shows none: somebody else has its credential, and may
		// want this silence.
		d.cfg.Log.Warn("junk for evidence: no more is taken from this reporter at this address for a while",
			"reporter", reporter, "client", source.from, "silence", junkSilence)
	}
	d.tally(verdict)
	return verdict, err
}

// Present judges an access token that came to the issuer itself and was refused. It
// takes its time even if whoever sent the token has gone. Nobody's bounds apply: a
// token without a valid signature costs no more than it did there.
func (d *Desk) Present(ctx context.Context, token string) {
	if d.cfg.Answer == Off {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), presentLimit)
	defer cancel()
	verdict, _, err := d.judge(ctx, presented, token)
	d.tally(verdict)
	if err != nil {
		d.cfg.Log.Error("a refused access token could not be judged", "err", err)
	}
}

const (
	presentLimit = 5 * time.Second

	// presented stands for the issuer's own endpoints among reporters. No client has
	// a slash in its name.
	presented = "issuer/endpoint"
)

func (d *Desk) tally(v Verdict) {
	switch v {
	case Genuine:
		d.counts.genuine.Add(1)
	case Unsigned:
		d.counts.unsigned.Add(1)
	case Unknown:
		d.counts.unknown.Add(1)
	}
}

// judge tells what a token proves. junk means that no honest verifier shows such.
func (d *Desk) judge(ctx context.Context, reporter, token string) (v Verdict, junk bool, err error) {
	u, err := jws.Parse(token)
	if err != nil {
		return Unsigned, true, nil
	}
	key, info, v := d.signer(u, reporter)
	if key == nil {
		return v, true, nil
	}
	f := &finding{keyID: key.KeyID(), reporter: reporter, hash: sha256.Sum256([]byte(u.SigningInput()))}
	f.payload = u.UnverifiedPayload()
	f.tokenID = tokenID(f.payload)
	now, err := d.storeTime(ctx)
	if err != nil {
		return "", false, err
	}
	switch {
	case info.Use == keyring.UseCanary:
		f.verdict = Canary
	case !key.Limits().Tagged:
		return Unknown, false, nil
	default:
		right, err := d.right(ctx, key.KeyID(), token)
		if err != nil {
			return "", false, err
		}
		if right {
			d.answered(key, token)
			return Genuine, false, nil
		}
		if expired(key, token, now) {
			return d.late(ctx, key, info, reporter, token)
		}
		if f.rehearsed, err = d.rehearsed(ctx, info, token); err != nil {
			return "", false, err
		}
		f.verdict = Forged
	}
	f.level0 = d.level0(key, token, now)
	if v, err = d.found(ctx, f); err == nil {
		d.answered(key, token)
	}
	return v, false, err
}

// answered notes that a token was judged, which may be one that was asked for.
func (d *Desk) answered(key *jwk.Key, token string) {
	if record, err := notary.RecordOf(key.KeyID(), token); err == nil {
		d.sight.shown(record)
	}
}

// late deals with a wrong tag of a token that has ended. Of the tokens that come to the
// issuer itself nothing is said: anybody may keep one for years.
func (d *Desk) late(ctx context.Context, key *jwk.Key, info keyring.Info, reporter, token string) (v Verdict, junk bool, err error) {
	if reporter != presented && info.State != keyring.Retired && info.State != keyring.Killed {
		err = d.tooLate(ctx, key, reporter)
	}
	if err == nil {
		d.answered(key, token)
	}
	return Unknown, false, err
}

// signer returns the key that signed a token, or else no key and Unknown or Unsigned.
// A token that names no key may be of each that is not gone: a verifier takes it where
// it has one key for the algorithm. That is for reporters, whose number is bounded.
func (d *Desk) signer(u *jws.Unverified, reporter string) (*jwk.Key, keyring.Info, Verdict) {
	named := u.UnverifiedHeader().KeyID
	kids := []string{named}
	if named == "" && reporter != presented {
		kids = d.alive()
	}
	for _, kid := range kids {
		key, info, ok := d.cfg.Keyring.Verification(kid)
		if !ok {
			continue
		}
		if _, err := u.Verify(key); err == nil {
			return key, info, ""
		}
		if named != "" {
			return nil, info, Unsigned
		}
	}
	return nil, keyring.Info{}, Unknown
}

// alive are the kids of keys that somebody may still look among.
func (d *Desk) alive() (kids []string) {
	for _, info := range d.cfg.Keyring.Keys() {
		if info.State != keyring.Retired && info.State != keyring.Killed {
			kids = append(kids, info.KeyID)
		}
	}
	return kids
}

// maxTokenID is the longest jti that is written down. The thief chooses it.
const maxTokenID = 256

// tokenID reads the jti of a payload, which may have none that a verifier reads.
func tokenID(payload []byte) string {
	var claims struct {
		ID string `json:"jti"`
	}
	if wire.Unmarshal(payload, &claims) != nil || len(claims.ID) > maxTokenID || strings.ContainsRune(claims.ID, 0) {
		return ""
	}
	return claims.ID
}

// right asks the auditor about the tag of a token with a valid signature.
func (d *Desk) right(ctx context.Context, kid, token string) (bool, error) {
	record, err := notary.RecordOf(kid, token)
	if err != nil {
		return false, nil // it has no place for a tag
	}
	right, err := d.cfg.Notary.Check(ctx, []notary.Record{record})
	return err == nil && right[0], err
}

// storeTime returns the time by which tokens are made and answers go. The clock of a
// node that is wrong must not make a forged token look expired, or an old one forged.
func (d *Desk) storeTime(ctx context.Context) (now time.Time, err error) {
	err = d.cfg.Store.View(ctx, func(tx *store.Tx) error {
		now, err = tx.Now()
		return err
	})
	return now, err
}

// skew is how far the clocks of nodes, database and verifiers may disagree.
const skew = time.Minute

// afterLife is how long after its end a token may still be accepted somewhere: the
// largest leeway that a verifier may be told to give, and the skew.
const afterLife = jwt.MaxLeeway + skew

// expired reports whether no verifier accepts a token any more. Such a one proves
// nothing: the secret that made its tag may have been taken out of use since.
func expired(key *jwk.Key, token string, now time.Time) bool {
	_, err := jwt.Verify[struct{}](jwt.Policy{
		InsecureSkipIssuer: true, InsecureSkipAudience: true, InsecureSkipType: true, Leeway: jwt.MaxLeeway,
		Now: func() time.Time { return now.Add(-skew) },
	}, key.WithLimits(jwk.Limits{}), token)
	_, expired := errors.AsType[*jwt.ExpiredError](err)
	return expired
}

// level0 says what a verifier finds without an auditor: "passes", or what is wrong.
func (d *Desk) level0(key *jwk.Key, token string, now time.Time) string {
	_, err := jwt.Verify[struct{}](jwt.Policy{
		Issuer: d.cfg.Issuer, InsecureSkipAudience: true, Type: oauth.AccessTokenType,
		Now: func() time.Time { return now },
	}, key, token)
	if err == nil {
		return "passes"
	}
	return err.Error() // of package jwt: it holds no byte of the token
}
